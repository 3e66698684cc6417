"""The memory that is left: made-up folders of cgroups and a made-up /proc/meminfo."""

from pathlib import Path

import pytest

from app.system.available_memory import available_bytes

MEMINFO = "MemTotal:       4000000 kB\nMemFree:         100000 kB\nMemAvailable:    1000 kB\n"


def found(folder: Path, files: dict[str, str], membership: str = "0::/a\n") -> int | None:
    for name, content in {"self": membership, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return available_bytes(folder / "meminfo", folder / "cgroup", folder / "self")


@pytest.mark.parametrize(
    ("files", "membership", "expected"),
    [
        pytest.param({}, "0::/a\n", 1_024_000, id="machine"),
        pytest.param(
            {"a/memory.max": "max", "a/memory.current": "5"}, "0::/a\n", 1_024_000, id="v2-no-limit"
        ),
        pytest.param(
            {"a/memory.max": "5000", "a/memory.current": "3000"}, "0::/a\n", 2000, id="v2"
        ),
        pytest.param(
            {
                "a/memory.max": "5000",
                "a/memory.current": "3000",
                "a/memory.stat": "anon 2000\nfile 900\ninactive_file 700\n",
            },
            "0::/a\n",
            2700,
            id="v2-page-cache",
        ),
        pytest.param(
            {
                "memory.max": "400", "memory.current": "300",
                "a/memory.max": "5000", "a/memory.current": "3000",
            },
            "0::/a\n", 100, id="v2-parent",
        ),
        pytest.param(
            {"a/memory.max": "5000", "a/memory.current": "6000"}, "0::/a\n", 0, id="v2-exceeded"
        ),
        pytest.param(
            {
                "memory/a/memory.limit_in_bytes": "5000",
                "memory/a/memory.usage_in_bytes": "3000",
                "memory/a/memory.stat": "inactive_file 1\ntotal_inactive_file 500\n",
            },
            "8:memory:/a\n4:cpu:/\n", 2500, id="v1",
        ),
        pytest.param(
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.usage_in_bytes": "3000",
            },
            "8:memory:/\n", 1_024_000, id="v1-no-limit",
        ),
    ],
)  # fmt: skip
def test_the_tighter_of_machine_and_cgroups_counts(
    tmp_path: Path, files: dict[str, str], membership: str, expected: int
) -> None:
    cgroup = {f"cgroup/{name}": text for name, text in files.items()}
    assert found(tmp_path, {"meminfo": MEMINFO, **cgroup}, membership) == expected


def test_nothing_is_said_where_the_system_says_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, {"meminfo": "MemTotal: x kB\n"}) is None
    assert available_bytes(*[tmp_path / "gone"] * 3) is None


def test_this_machine_has_some() -> None:
    left = available_bytes()
    assert left is None or left > 2**20
