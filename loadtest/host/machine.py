"""The machine and software of a run, and how much CPU time went to anything else meanwhile."""

import os
import platform
import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from app.system.cores import usable_cores
from loadtest.host.processes import TICKS_PER_S

PACKAGES = ("mobilenet-gateway", "onnxruntime", "pillow", "numpy", "fastapi", "uvicorn", "uvloop")


@dataclass(frozen=True, slots=True)
class Machine:
    date: str
    cpu: str
    cores: int
    kernel: str
    python: str
    packages: dict[str, str]
    load_before: float


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU time so far, in seconds: of the machine, and of this process with its children.

    A child counts once it has ended.
    """

    total_s: float
    busy_s: float
    stolen_s: float
    own_s: float


@dataclass(frozen=True, slots=True)
class Interference:
    """CPU time that the run did not get, in percent of the machine's CPU time."""

    stolen_percent: float  # by the hypervisor
    others_percent: float  # by unrelated processes


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where a run took place, what interfered with it and how long it took."""

    machine: Machine
    interference: Interference
    took_s: float

    def describe(self) -> str:
        """Return one paragraph in Markdown."""
        machine, packages = self.machine, self.machine.packages
        software = ", ".join(f"{name} {release}" for name, release in packages.items())
        return (
            f"{machine.date}, {machine.cores} cores of {machine.cpu}, Linux {machine.kernel}, "
            f"Python {machine.python}, {software}. Run time: {self.took_s / 60:.0f} min. "
            f"Load average before the run: {machine.load_before:.2f}. CPU time used by unrelated "
            f"processes: {self.interference.others_percent:.1f} %; stolen by the hypervisor: "
            f"{self.interference.stolen_percent:.1f} %."
        )


class MachineMonitor:
    """Records the conditions of a run that starts when this object is created."""

    def __init__(self) -> None:
        self.machine = this_machine()
        self._started = time.monotonic()
        self._before = cpu_times()

    def conditions(self) -> Conditions:
        took_s = time.monotonic() - self._started
        return Conditions(self.machine, interference(self._before, cpu_times()), took_s)


def interference(before: CpuTimes, after: CpuTimes) -> Interference:
    total_s = max(after.total_s - before.total_s, 1e-9)
    others_s = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return Interference(
        stolen_percent=100 * (after.stolen_s - before.stolen_s) / total_s,
        others_percent=100 * max(others_s, 0.0) / total_s,
    )


def this_machine() -> Machine:
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        cpu=_cpu_name(Path("/proc/cpuinfo").read_text("utf-8", "replace")),
        cores=usable_cores().count,
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: version(name) for name in PACKAGES},
        load_before=os.getloadavg()[0],
    )


def cpu_times() -> CpuTimes:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own_s = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return parse_cpu_times(Path("/proc/stat").read_text("utf-8"), own_s)


def parse_cpu_times(stat: str, own_s: float) -> CpuTimes:
    """Read the first line of /proc/stat: user nice system idle iowait irq softirq steal (proc(5)).

    Guest time, in the columns after these, is already part of user and nice.
    """
    seconds = [int(ticks) / TICKS_PER_S for ticks in stat.split("\n", 1)[0].split()[1:9]]
    user, nice, system, _, _, irq, softirq, stolen = seconds
    return CpuTimes(sum(seconds), user + nice + system + irq + softirq, stolen, own_s)


def _cpu_name(cpuinfo: str) -> str:
    for line in cpuinfo.splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()
