"""The fields of a manifest that KServe's classes do not have, as dotted paths."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kserve
import kubernetes.client


def unknown(value: Any, kind: str, path: str) -> Iterator[str]:
    """The unknown fields below `path`, whose type is `kind` in the classes' notation."""
    if kind.startswith("list["):
        items = value if isinstance(value, list) else [value]
        for item in items:
            yield from unknown(item, kind[5:-1], path)
        return
    found = getattr(kserve, kind, None) or getattr(kubernetes.client, kind, None)
    if found is None or not isinstance(value, dict):
        return  # a plain value
    fields = {shown: found.openapi_types[name] for name, shown in found.attribute_map.items()}
    for name, below in value.items():
        here = f"{path}.{name}".lstrip(".")
        if name not in fields:
            yield here
        else:
            yield from unknown(below, fields[name], here)


def class_of(manifest: dict[str, Any]) -> str:
    version = manifest["apiVersion"].removeprefix("serving.kserve.io/")
    return f"{version.capitalize()}{manifest['kind']}"


document = json.loads(Path(sys.argv[1]).read_text("utf-8"))
print(json.dumps(list(unknown(document, class_of(document), ""))))
