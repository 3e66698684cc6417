"""The size of an image, in total and by part.

    python -m container.report IMAGE [--record]

`--record` writes the size to container/sizes.json; later images may be at most 3 % larger.
"""

import gzip
import io
import json
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path, PurePosixPath

from container.docker import inspect

SIZES = Path(__file__).with_name("sizes.json")
PARTS = {
    "opt/gateway/lib/python3.11/site-packages/onnxruntime": "onnxruntime",
    "opt/gateway/lib/python3.11/site-packages/numpy.libs": "NumPy: OpenBLAS, gfortran",
    "opt/gateway/lib/python3.11/site-packages/numpy": "NumPy",
    "opt/gateway/lib/python3.11/site-packages/pillow.libs": "Pillow: libjpeg and others",
    "opt/gateway/lib/python3.11/site-packages/PIL": "Pillow",
    "opt/gateway/lib/python3.11/site-packages/pydantic": "Pydantic",
    "opt/gateway/lib/python3.11/site-packages/app": "this project",
    "opt/gateway": "other packages",
    "models": "MobileNetV2 1.0/224",
    "usr/lib/python3.11": "standard library",
    "usr/local/lib/python3.11": "standard library",
    "usr": "interpreter",
    "lib": "libc, libcrypto, libstdc++ and others",
}


def layers(image: str) -> list[bytes]:
    """The image's layers as tar archives."""
    command = ["docker", "save", image]
    saved = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:

        def member(name: str) -> bytes:
            file = archive.extractfile(name)
            if file is None:
                raise ValueError(f"{name} is not a regular file.")
            return file.read()

        [manifest] = json.loads(member("manifest.json"))
        return [member(name) for name in manifest["Layers"]]


def parts(archives: list[bytes]) -> Counter[str]:
    """Bytes of the files by part of the image."""
    found: Counter[str] = Counter()
    for content in archives:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                found[part_of(member.name)] += member.size
    return found


def part_of(name: str) -> str:
    path = PurePosixPath(name)
    text = str(path)
    for prefix, part in PARTS.items():
        if text == prefix or text.startswith((f"{prefix}/", f"{prefix}_core/", f"{prefix}64/")):
            return part
    return "other"


def main(image: str, record: bool) -> None:
    found = inspect(image)
    architecture, size = found["Architecture"], found["Size"]
    archives = layers(image)
    compressed = sum(len(gzip.compress(content, 6)) for content in archives)
    print(f"{image}: {architecture}, {size / 1e6:.1f} MB, {compressed / 1e6:.1f} MB compressed")
    for part, part_bytes in parts(archives).most_common():
        print(f"| {part} | {part_bytes / 1e6:.1f} MB |")
    if record:
        sizes = json.loads(SIZES.read_text("utf-8"))
        sizes[architecture] = {"bytes": size, "compressed_bytes": compressed}
        SIZES.write_text(json.dumps(sizes, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], "--record" in sys.argv)
