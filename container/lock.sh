#!/usr/bin/env bash
# Regenerates requirements/*.txt: the packages of the image, pinned and hashed for both architectures.
#
#   runtime.txt         everything that serves, except onnxruntime itself
#   onnxruntime*.txt    the distributions of onnxruntime, one in each file
#   grpc.txt, heif.txt  what `--build-arg GRPC=true` and `HEIF=true` add
#   av.txt, mqtt.txt    what `--build-arg AV=true` and `MQTT=true` add
#   build.txt           what exports models and makes the wheel; never in the image
#
# Needs `uv`. Pinned versions stay; UPGRADE=1 upgrades them.
set -euo pipefail
cd "$(dirname "$0")/.."

lock() { # OUT REQUIREMENTS... : resolve for Python 3.11 on any Linux, without naming the index
    local out=requirements/$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-annotate ${UPGRADE:+--upgrade} --output-file "$out" "$@"
}

for distribution in onnxruntime onnxruntime-gpu onnxruntime-openvino; do
    echo "$distribution>=1.22" | lock "$distribution.txt" --no-deps -
done
echo hatchling | lock build.txt pyproject.toml --extra build --constraint requirements/onnxruntime.txt -
# Left out although they are dependencies: those of Rich for Markdown and syntax colours, and those of
# onnxruntime for its tools. No command imports them, and they would add 15 MB.
lock runtime.txt pyproject.toml --constraint requirements/build.txt --no-emit-package onnxruntime \
    --no-emit-package pygments --no-emit-package markdown-it-py --no-emit-package mdurl \
    --no-emit-package protobuf --no-emit-package flatbuffers --no-emit-package packaging
for extra in av grpc heif mqtt; do
    python3 -c 'import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*project["optional-dependencies"][sys.argv[1]], sep="\n")' "$extra" |
        lock "$extra.txt" --constraint requirements/build.txt --constraint requirements/runtime.txt \
            --no-emit-package pillow -
done
