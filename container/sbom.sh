#!/usr/bin/env bash
# Lists the packages of the image as CycloneDX and audits them for known vulnerabilities.
#
#   sbom.sh PYTHON [IMAGE] [OUT]     PYTHON has the development requirements
#
# It reads the packages installed in the image itself. Without advisory data the audit is skipped with
# a message; a known vulnerability is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$1 image=${2:-mobilenet-gateway:amd64} out=${3:-build/sbom.cdx.json}
eval "$(container/engine.sh env)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv --without-pip "$work/venv"
packages=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
created=$(docker create "$image")
docker cp --quiet "$created:/opt/gateway/lib/python3.11/site-packages/." "$packages" 2>/dev/null ||
    docker cp "$created:/opt/gateway/lib/python3.11/site-packages/." "$packages"
docker rm "$created" >/dev/null

mkdir -p "$(dirname "$out")"
"$python" -m cyclonedx_py environment --output-reproducible --mc-type application \
    --pyproject pyproject.toml --output-file "$out" "$work/venv/bin/python"
"$python" -c 'import json, sys; print("sbom:", len(json.load(open(sys.argv[1]))["components"]), "packages in", sys.argv[1])' "$out"

"$python" -m container.audit --path "$packages"
