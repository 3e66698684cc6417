#!/usr/bin/env bash
# Tests the built images: the service under compose by its address, then the image itself.
#
#   test.sh PYTHON      with the interpreter that has the development requirements
#
# TEST_IMAGE_ARM64=none leaves out the image for arm64.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$1
eval "$(container/engine.sh env)"
export TEST_IMAGE=${TEST_IMAGE:-mobilenet-gateway:amd64}
export TEST_IMAGE_ARM64=${TEST_IMAGE_ARM64:-mobilenet-gateway:arm64}
export IMAGE=$TEST_IMAGE PORT=${PORT:-18080} COMPOSE_PROJECT_NAME=gateway-image-test

docker compose config --quiet
trap 'docker compose down --volumes --timeout 30' EXIT
docker compose up --detach --wait --no-build
SERVICE_URL=http://127.0.0.1:$PORT "$python" -m pytest tests/container/test_served.py
docker compose logs --no-log-prefix | tail -n 3
docker compose down --volumes --timeout 30
trap - EXIT

"$python" -m pytest tests/container
"$python" -m container.report "$TEST_IMAGE"
