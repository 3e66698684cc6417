"""The counts of all boards, and the recorded ones that they may not exceed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

BASELINE = Path(__file__).with_name("baseline.json")
MAX_GROWTH = 0.03
DECODE = "decode"


@dataclass(frozen=True, slots=True)
class ArmResult:
    """Instructions for one image, by CPU, and there by `DECODE` or model.

    `photo` is the hash of the decoded file.
    """

    date: str
    software: dict[str, str]
    photo: str
    instructions: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`grown` and `new` fail: too many instructions, or nothing to compare them with."""

    grown: list[str]
    new: list[str]
    not_counted: list[str]


def read_baseline(path: Path = BASELINE) -> ArmResult:
    return ArmResult(**json.loads(path.read_text("utf-8")))


def write_baseline(result: ArmResult, path: Path = BASELINE) -> None:
    path.write_text(json.dumps(asdict(result), indent=1) + "\n", "utf-8")


def compare(found: ArmResult, recorded: ArmResult) -> Comparison:
    """Compare two results. Decoding another photo costs something else and is left out."""
    before, now = _flat(recorded), _flat(found)
    same_photo = found.photo == recorded.photo
    comparison = Comparison([], [], [])
    for (cpu, what), recorded_count in before.items():
        if (count := now.get((cpu, what))) is None or (what == DECODE and not same_photo):
            comparison.not_counted.append(f"{what} on {cpu}")
        elif count > recorded_count * (1 + MAX_GROWTH):
            growth = 100 * (count / recorded_count - 1)
            comparison.grown.append(
                f"{what} on {cpu}: {count / 1e6:.2f} M instructions, {growth:.1f} % more than "
                f"the recorded {recorded_count / 1e6:.2f} M"
            )
    comparison.new.extend(f"{what} on {cpu}" for cpu, what in now if (cpu, what) not in before)
    return comparison


def _flat(result: ArmResult) -> dict[tuple[str, str], int]:
    counts = result.instructions
    return {(cpu, what): count for cpu in counts for what, count in counts[cpu].items()}
