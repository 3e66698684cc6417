#!/usr/bin/env bash
# Tests the built images: the service under compose, and the images themselves.
#
#   test.sh PYTHON      with the interpreter that has the development requirements
#
# Of tests/deploy only what needs docker runs here; `make test` runs the rest. The tests run last, so
# that the output ends with their summary. TEST_IMAGE_ARM64= skips arm64.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$1
eval "$(container/engine.sh env)"
export TEST_IMAGE=${TEST_IMAGE:-mobilenet-gateway:amd64}
export TEST_IMAGE_ARM64=${TEST_IMAGE_ARM64-mobilenet-gateway:arm64}
export IMAGE=$TEST_IMAGE PORT=${PORT:-18080} COMPOSE_PROJECT_NAME=gateway-image-test

"$python" -m container.report "$TEST_IMAGE"
if [ -n "$TEST_IMAGE_ARM64" ]; then "$python" -m container.report "$TEST_IMAGE_ARM64"; fi

docker compose config --quiet
trap 'docker compose --progress quiet down --volumes --timeout 30' EXIT
docker compose --progress quiet up --detach --wait --no-build
SERVICE_URL=http://127.0.0.1:$PORT "$python" -m pytest tests/container tests/deploy/test_compose.py
