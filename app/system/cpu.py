"""The CPU of this machine and its capabilities, from Linux."""

import os
import platform
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
X86 = {"x86_64", "amd64"}
ARM64 = {"aarch64", "arm64"}
# Multiply uint8 by int8 and accumulate in 32 bits; without them, x86 adds pairs in 16 bits.
VNNI = {"avx512_vnni", "avx_vnni"}
# The lines that differ between CPU models and instruction sets.
IDENTITY = ("vendor_id", "model name", "flags", "CPU implementer", "CPU part", "Features")


def facts(cpuinfo: Path = CPUINFO) -> dict[str, str]:
    """Names and values of the first core's lines; empty without such a file."""
    first_core, _, _ = _read(cpuinfo).partition("\n\n")
    pairs = (line.partition(":") for line in first_core.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def saturates(machine: str, flags: str) -> bool:
    """Whether int8 products may saturate: on x86 without VNNI instructions."""
    return machine.lower() in X86 and VNNI.isdisjoint(flags.split())


def int8_obstacle_of(machine: str, flags: str) -> str | None:
    """Why INT8 saturates or is not faster than float on such a CPU; None if neither."""
    if saturates(machine, flags):
        return "this CPU has no VNNI, without which INT8 saturates or is slower"
    if machine.lower() not in X86 | ARM64:
        return f"INT8 has not been measured on {machine}"
    return None


@cache
def int8_obstacle() -> str | None:
    return int8_obstacle_of(platform.machine(), facts().get("flags", ""))


def prefers_int8(machine: str, features: str) -> bool:
    """Whether int8 activations take fewer instructions than uint8: on ARM with dot products."""
    return machine.lower() in ARM64 and "asimddp" in features.split()


@cache
def is_arm64_here() -> bool:
    return platform.machine().lower() in ARM64


@cache
def prefers_int8_here() -> bool:
    return prefers_int8(platform.machine(), facts().get("Features", ""))


@cache
def saturates_here() -> bool:
    return saturates(platform.machine(), facts().get("flags", ""))


@cache
def device() -> str:
    """Describe this machine in one line: its CPU and, on x86, whether it has VNNI."""
    machine = platform.machine()
    name = facts().get("model name") or platform.processor() or machine
    if machine.lower() not in X86:
        return f"{name} ({machine})" if name != machine else machine
    return f"{name} ({machine}, {'without' if saturates_here() else 'with'} VNNI)"


@cache
def cpu_identity() -> str:
    """Everything that the graph optimiser depends on: models and instruction sets of all cores."""
    lines = {line for line in _read(CPUINFO).splitlines() if line.startswith(IDENTITY)}
    return repr((platform.machine(), platform.processor(), os.name, sorted(lines)))


def _read(cpuinfo: Path) -> str:
    try:
        return cpuinfo.read_text("utf-8")
    except OSError:
        return ""
