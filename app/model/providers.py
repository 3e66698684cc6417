"""Execution providers: which of them run the models, and in what order.

A provider that the settings name is required: the service does not start without it. If they name
none, all providers of onnxruntime are tried, from the fastest to the CPU. Those that do not work
here (a missing driver, an unsupported graph) are skipped with a line in the log.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from app.errors import GatewayError, SettingError
from app.settings import Provider

log = logging.getLogger(__name__)
Loaded = TypeVar("Loaded")

# From the most to the least preferred.
RUNTIME_NAMES: dict[Provider, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
# One thread per run: the workers already use all cores.
OPTIONS: dict[Provider, dict[str, str]] = {
    "openvino": {"device_type": "CPU", "num_of_threads": "1"},
    "xnnpack": {"intra_op_num_threads": "1"},
}
CPU_ONLY: tuple[Provider, ...] = ("cpu",)


class Providers:
    """The execution providers of the models, in order; the CPU is always the last."""

    def __init__(self, names: Sequence[Provider] = CPU_ONLY, *, required: bool = False) -> None:
        self.names = tuple(dict.fromkeys([*names, "cpu"]))
        self.required = required

    def int8_obstacle(self) -> str | None:
        """Why float is the better form with these providers; None on the CPU alone."""
        if self.names == CPU_ONLY:
            return None
        return f"INT8 has not been measured on {self.names[0]}"

    def load_with_fallback(self, load: Callable[[tuple[Provider, ...]], Loaded]) -> Loaded:
        """Call `load` with all providers and, unless they are required, with fewer until it works.

        Later calls start with the providers that worked.

        Raises:
            GatewayError: `load` failed with the required providers, or even on the CPU alone.
        """
        failure = None
        attempts = 1 if self.required else len(self.names)
        for names in [self.names[start:] for start in range(attempts)]:
            try:
                loaded = load(names)
            except GatewayError as error:
                failure = failure or error
                if names == CPU_ONLY or self.required:
                    raise
                continue
            if failure:
                skipped = ", ".join(name for name in self.names if name not in names)
                log.warning(
                    "Cannot use %s on this machine; models run on %s: %s",
                    skipped,
                    ", ".join(names),
                    failure,
                )
                self.names = names
            return loaded
        raise AssertionError("the CPU is always tried")


def choose(required: Sequence[Provider], built_in: Iterable[str]) -> Providers:
    """The providers that the settings require, or all that this onnxruntime has.

    `built_in` has onnxruntime's own names.

    Raises:
        SettingError: this onnxruntime lacks a required one.
    """
    available = short_names(built_in)
    if missing := [name for name in required if name not in available]:
        raise SettingError(
            f"providers (GATEWAY_PROVIDERS): this onnxruntime does not have {', '.join(missing)}. "
            f"It has: {', '.join(available)}."
        )
    return Providers(required or available, required=bool(required))


def short_names(runtime_names: Iterable[str]) -> list[Provider]:
    """The names in this project of onnxruntime's providers, in order of preference."""
    known = set(runtime_names)
    return [name for name, runtime_name in RUNTIME_NAMES.items() if runtime_name in known]


def for_runtime(names: Iterable[Provider]) -> list[tuple[str, dict[str, Any]]]:
    """Names and options as onnxruntime expects them."""
    return [(RUNTIME_NAMES[name], dict(OPTIONS.get(name, {}))) for name in names]
