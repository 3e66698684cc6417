"""The one place that imports onnxruntime and decides how it runs."""

import os
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from app.card.card import PROBABILITIES
from app.errors import ModelFileError
from app.model.providers import CPU_ONLY, RUNTIME_NAMES, for_runtime, short_names
from app.settings import Provider
from app.system.cpu import X86, saturates_here

# onnxruntime 1.29 and later sends telemetry on Linux; only this variable, set before the first
# import, prevents it from resolving its server's name and writing a database.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

ERROR_LEVEL, FATAL_LEVEL = 3, 4
# How long a thread of a run on several cores spins for the next layer before it sleeps. Without a
# limit, such runs take twice as long as on one thread where other processes use the cores; without
# spinning, a tenth longer where they do not.
SPIN_US = 20


def new_session(
    model: Path | bytes,
    *,
    memory_arena: bool = True,
    threads: int = 1,
    save_to: Path | None = None,
    providers: Sequence[Provider] = CPU_ONLY,
    log_errors: bool = True,
) -> ort.InferenceSession:
    """Open a session over an ONNX model; `save_to` receives the optimised graph.

    Opening a path needs less memory than bytes: onnxruntime frees what it has read.

    Raises:
        ModelFileError: onnxruntime skipped one of the providers.
        Exception: the model cannot be loaded; onnxruntime's errors have no common class.
    """
    options = _options(memory_arena, threads)
    if tuple(providers) == CPU_ONLY:
        _use_shared_arena(options)
    if not log_errors:  # for attempts that may fail: the exception says the same
        options.log_severity_level = FATAL_LEVEL
    if save_to:
        options.optimized_model_filepath = str(save_to)
        options.add_session_config_entry("session.save_model_format", "ORT")
    session = ort.InferenceSession(
        model, options, providers=for_runtime(providers), enable_fallback=0
    )
    if missing := [name for name in providers if name not in providers_of(session)]:
        raise ModelFileError(f"onnxruntime cannot use {', '.join(missing)} on this machine")
    return session


def optimised_session(
    graph: Path, *, memory_arena: bool = True, threads: int = 1, mapped: bool = False
) -> ort.InferenceSession:
    """Open a session over a graph that `new_session` saved.

    A `mapped` graph's weights stay in the file, in memory that all its sessions share: they must
    not be rearranged for the kernels, so that is for graphs that `can_be_mapped`.
    """
    options = _options(memory_arena, threads)
    _use_shared_arena(options)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.load_model_format", "ORT")
    if mapped:
        options.add_session_config_entry("session.use_memory_mapped_ort_model", "1")
        options.add_session_config_entry("session.use_ort_model_bytes_for_initializers", "1")
        options.add_session_config_entry("session.disable_prepacking", "1")
    return ort.InferenceSession(graph, options, providers=[RUNTIME_NAMES["cpu"]])


def save_simplified(model: bytes, path: Path) -> None:
    """Write a model as standard ONNX with its constants and batch norm folded.

    Raises:
        Exception: the model cannot be loaded; onnxruntime's errors have no common class.
    """
    options = _options(memory_arena=False, threads=1)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    ort.InferenceSession(model, options, providers=[RUNTIME_NAMES["cpu"]])


def _options(memory_arena: bool, threads: int) -> ort.SessionOptions:
    """Options for `threads` per run, including the calling one.

    Spinning is off for one thread: an idle runtime thread that spins takes the core from decoding.
    Several threads spin shortly and only during a run. The memory arena is usually on: without it
    activations come from malloc, whose heaps, one per thread, grow to twice the size of the arena.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = memory_arena
    options.log_severity_level = ERROR_LEVEL
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if threads == 1:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    else:
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(SPIN_US))
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if saturates_here():
        # Exact but slower kernels, uint8 by uint8. With VNNI they would take three times as long.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def _use_shared_arena(options: ort.SessionOptions) -> None:
    """Let a session on the CPU take its activations from one arena with all others.

    A run of one model then uses the memory that a run of another one used before.
    """
    if options.enable_cpu_mem_arena:
        _register_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")


@cache
def _register_arena() -> None:
    kind, purpose = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, ort.OrtMemType.DEFAULT
    ort.create_and_register_allocator(ort.OrtMemoryInfo("Cpu", kind, 0, purpose), None)


def can_be_mapped(precision: str, family: str) -> bool:
    """Whether a network runs as fast with the weights as its optimised graph has them.

    On x86 the convolutions of float networks have their weights in the order of the kernels
    already, and the last layer reads its weights once. INT8 kernels need a copy in another order,
    and so do the last layer on ARM and matrices that are multiplied by more than one row.
    """
    return precision == "fp32" and family != "other" and platform.machine().lower() in X86


def shrink_arena(session: ort.InferenceSession, feed: dict[str, Any]) -> None:
    """Run once and then return all arena memory that no other run is using.

    Does nothing without an arena or on other providers than the CPU. The arena keeps the memory of
    as many runs as ever overlapped. onnxruntime can shrink it only at the end of a run, and doing
    so after every run would slow down all of them.
    """
    if providers_of(session) == ["cpu"] and session.get_session_options().enable_cpu_mem_arena:
        options = ort.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        session.run([PROBABILITIES], feed, options)


def providers_of(session: ort.InferenceSession) -> list[Provider]:
    """The providers that a session uses; a node that one does not support goes to the next."""
    return short_names(session.get_providers())


def built_in_providers() -> list[str]:
    """onnxruntime's own names of the providers that are built in; a driver may still be missing."""
    return list(ort.get_available_providers())


def version() -> str:
    return str(ort.__version__)
