"""What this machine's CPU is and can do, as Linux tells it."""

import os
import platform
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
X86 = {"x86_64", "amd64"}
# Multiply uint8 by int8 and add in 32 bits at once; without them, x86 adds pairs in 16 bits.
VNNI = {"avx512_vnni", "avx_vnni"}
# What tells kinds of CPU and their instruction sets apart.
KIND = ("vendor_id", "model name", "flags", "CPU implementer", "CPU part", "Features")


def facts(cpuinfo: Path = CPUINFO) -> dict[str, str]:
    """Names and values of the first core's lines; none where there is no such file."""
    first_core, _, _ = _read(cpuinfo).partition("\n\n")
    pairs = (line.partition(":") for line in first_core.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def saturates(machine: str, flags: str) -> bool:
    """Whether int8 products may saturate: on x86 without VNNI instructions."""
    return machine.lower() in X86 and VNNI.isdisjoint(flags.split())


@cache
def saturates_here() -> bool:
    return saturates(platform.machine(), facts().get("flags", ""))


@cache
def device() -> str:
    """This machine in one line: its CPU and, on x86, whether it has VNNI."""
    machine = platform.machine()
    name = facts().get("model name") or platform.processor() or machine
    if machine.lower() not in X86:
        return f"{name} ({machine})" if name != machine else machine
    return f"{name} ({machine}, {'without' if saturates_here() else 'with'} VNNI)"


@cache
def kind_of_cpu() -> str:
    """What the optimiser of graphs looks at, of all cores: their kinds and instruction sets."""
    lines = {line for line in _read(CPUINFO).splitlines() if line.startswith(KIND)}
    return repr((platform.machine(), platform.processor(), os.name, sorted(lines)))


def _read(cpuinfo: Path) -> str:
    """The text of the file; empty where there is none."""
    try:
        return cpuinfo.read_text("utf-8")
    except OSError:
        return ""
