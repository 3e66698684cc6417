#!/usr/bin/env bash
# Writes requirements/*.txt anew: what goes into the image, pinned and hashed for both architectures.
#
#   runtime.txt         everything that serves, onnxruntime itself left out
#   onnxruntime*.txt    the distributions of onnxruntime to choose from, one alone in each
#   grpc.txt            what `--build-arg GRPC=true` adds
#   build.txt           what exports models and makes the wheel; never in the image
#
# Needs `uv`. Versions that are pinned already stay; UPGRADE=1 takes the newest.
set -euo pipefail
cd "$(dirname "$0")/.."

lock() { # OUT REQUIREMENTS... : resolve for Python 3.11 on any Linux, and say nothing of where from
    local out=requirements/$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-annotate ${UPGRADE:+--upgrade} --output-file "$out" "$@"
}

for distribution in onnxruntime onnxruntime-gpu onnxruntime-openvino; do
    echo "$distribution>=1.22" | lock "$distribution.txt" --no-deps -
done
echo hatchling | lock build.txt pyproject.toml --extra build --constraint requirements/onnxruntime.txt -
# Left out although something names them: what Rich needs for Markdown and syntax colours, and
# onnxruntime for its tools. No command imports them, and they would add 15 MB.
lock runtime.txt pyproject.toml --constraint requirements/build.txt --no-emit-package onnxruntime \
    --no-emit-package pygments --no-emit-package markdown-it-py --no-emit-package mdurl \
    --no-emit-package protobuf --no-emit-package flatbuffers --no-emit-package packaging
python3 -c 'import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*project["optional-dependencies"]["grpc"], sep="\n")' |
    lock grpc.txt --constraint requirements/build.txt --constraint requirements/runtime.txt -
