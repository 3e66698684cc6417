#!/usr/bin/env bash
# Builds the image for one architecture: build.sh amd64|arm64 [build options...]
#
# Without a working docker, container/engine.sh sets one up first. IMAGE names the result.
set -euo pipefail
cd "$(dirname "$0")/.."

architecture=$1
shift
if [ "$architecture" = arm64 ]; then export ARM64=1; fi
container/engine.sh up
eval "$(container/engine.sh env)"

options=(--platform "linux/$architecture" --load
    --build-arg "VERSION=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' app/__init__.py)"
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)")
if [ -n "${MODELS:-}" ]; then options+=(--build-arg "MODELS=$MODELS"); fi
if [ "$architecture" = arm64 ] && [ -n "${BASE_IMAGE_ARM64:-}" ]; then
    options+=(--build-arg "BASE_IMAGE=$BASE_IMAGE_ARM64" --build-arg BUILD_IMAGE=python:3.11-slim-bookworm)
fi
tag=${IMAGE:-mobilenet-gateway}:$architecture
docker buildx build "${options[@]}" "$@" --tag "$tag" .
if [ "$architecture" = amd64 ]; then docker tag "$tag" "${IMAGE:-mobilenet-gateway}:latest"; fi
docker image inspect --format '{{.Architecture}}: {{.Size}} bytes' "$tag"
