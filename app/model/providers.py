"""Execution providers: which of onnxruntime's ways to run a model are used, and in what order.

One that is asked for by name has to work, or the service does not start. Without names, whatever
onnxruntime brings is tried from the fastest to the CPU, and what does not work here (a driver that
is missing, a graph that it does not take) is passed over with one line in the log.
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
# The workers are the threads: a run that spreads over all cores takes them from other runs.
OPTIONS: dict[Provider, dict[str, str]] = {
    "openvino": {"device_type": "CPU", "num_of_threads": "1"},
    "xnnpack": {"intra_op_num_threads": "1"},
}
CPU_ONLY: tuple[Provider, ...] = ("cpu",)


class Providers:
    """What models are to run on: `names` in order, with the CPU as the last."""

    def __init__(self, names: Sequence[Provider] = CPU_ONLY, *, asked: bool = False) -> None:
        self.names = tuple(dict.fromkeys([*names, "cpu"]))
        self.asked = asked

    def first_that_works(self, load: Callable[[tuple[Provider, ...]], Loaded]) -> Loaded:
        """Load with all names or, unless they were asked for, with fewer; stay with these.

        Raises:
            GatewayError: what `load` raised, if it does not work on the CPU either.
        """
        failure = None
        for names in self._attempts():
            try:
                loaded = load(names)
            except GatewayError as error:
                failure = failure or error
                if names == CPU_ONLY or self.asked:
                    raise
                continue
            if failure:
                passed_over = ", ".join(name for name in self.names if name not in names)
                log.warning(
                    "Cannot use %s on this machine, models run on %s: %s",
                    passed_over,
                    ", ".join(names),
                    failure,
                )
                self.names = names
            return loaded
        raise AssertionError("the CPU is always tried")

    def _attempts(self) -> list[tuple[Provider, ...]]:
        if self.asked:
            return [self.names]
        return [self.names[start:] for start in range(len(self.names))]


def choose(asked: Sequence[Provider], offered: Iterable[str]) -> Providers:
    """The providers that the setting names, or all that this onnxruntime offers.

    Raises:
        SettingError: this onnxruntime lacks one that is asked for.
    """
    there = short_names(offered)
    if missing := [name for name in asked if name not in there]:
        raise SettingError(
            f"providers (GATEWAY_PROVIDERS): this onnxruntime does not have {', '.join(missing)}. "
            f"It has: {', '.join(there)}."
        )
    return Providers(asked or there, asked=bool(asked))


def short_names(runtime_names: Iterable[str]) -> list[Provider]:
    """Those of onnxruntime's names that have one here, in the order of preference."""
    known = set(runtime_names)
    return [name for name, runtime_name in RUNTIME_NAMES.items() if runtime_name in known]


def for_runtime(names: Iterable[Provider]) -> list[tuple[str, dict[str, Any]]]:
    """Names and options as onnxruntime takes them."""
    return [(RUNTIME_NAMES[name], dict(OPTIONS.get(name, {}))) for name in names]
