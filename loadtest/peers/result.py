"""The records of a comparison with other model servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadtest.host.machine import Conditions
from loadtest.host.processes import Memory
from loadtest.load.wrk import ClosedLoop


@dataclass(frozen=True, slots=True)
class PeerRun:
    """One server in one round; `memory` is from right after the load, before the lone requests."""

    answered_s: float  # from its start until its first answer
    start_cpu_s: float  # processor time until then
    closed: ClosedLoop
    cpu_s: float
    memory: Memory
    lone: ClosedLoop  # over one connection
    lone_cpu_s: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rounds with one model: the runs by server, and why servers were skipped."""

    model: str
    label: str
    runs: dict[str, list[PeerRun]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerDescription:
    """A row of the table of servers."""

    title: str
    version: str
    settings: str


@dataclass(frozen=True, slots=True)
class PeersResult:
    conditions: Conditions
    connections: int
    rounds: int
    seconds: int
    servers: Mapping[str, ServerDescription]
    comparisons: list[Comparison]
    bare_int8_ratio: float | None  # images/s of the bare loop, INT8 relative to float
