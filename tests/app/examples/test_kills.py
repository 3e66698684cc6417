"""A kill at any operation on files leaves the state before or after it, and nothing in between."""

import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.examples.example_folder import NewExample
from app.examples.example_store import ExampleStore

BASE = "ab" * 32
LIMIT = 10**6
# What changes a folder; an audit event comes before each.
CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}
OLD_HEAD, NEW_HEAD = b"the old head", b"the new head"


def new(label: str, image: bytes) -> NewExample:
    return NewExample(image, label, "image/jpeg", {BASE: np.ones((4, 8), np.float32)})


def add(store: ExampleStore, label: str, image: bytes) -> str:
    return store.add(new(label, image), "gate", "base", both_forms=True)[0].id


def images(folder: Path) -> set[tuple[str, bytes]]:
    """Label and bytes of all examples, by a store that is opened for it."""
    store = ExampleStore(folder, LIMIT)
    try:
        gate = store.find("gate")
        if gate is None:
            return set()
        for one in gate.examples.values():
            assert gate.has_units(one.id, BASE, 4, 8)
        return {(one.label, gate.image(one)) for one in gate.examples.values()}
    finally:
        store.close()


def leftovers(folder: Path) -> set[str]:
    """Names of files that belong to no example and no head."""
    known = {"head.json", "taught.json", "previous", "gate.head.npz"}
    ids = {path.stem for path in folder.rglob("*.json")}
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name for path in files if path.name not in known} - {
        path.name for path in files if path.name.partition(".")[0] in ids
    }


def fork() -> int:
    """A fork whose child only writes files, which no other thread of this process does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, about threads
        return os.fork()


def killed_at(count: int, folder: Path, change: Callable[[ExampleStore], Any]) -> bool:
    """Change a folder in a process that is killed at its `count`th operation; whether it was."""
    pid = fork()
    if pid == 0:
        try:
            store = ExampleStore(folder, LIMIT)
            left = count

            def audit(event: str, _: object) -> None:
                nonlocal left
                if event in CHANGES:
                    left -= 1
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(audit)
            change(store)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two examples and a head."""
    path = tmp_path / "heads"
    store = ExampleStore(path, LIMIT)
    add(store, "open", b"first")
    add(store, "closed", b"second")
    versions = store.versions("gate")
    versions.trained.write_bytes(OLD_HEAD)
    versions.swap_in("fingerprint")
    store.close()
    return path


def first_id(store: ExampleStore) -> str:
    return min(store.get("gate").examples)


def swap(store: ExampleStore) -> None:
    versions = store.versions("gate")
    versions.trained.write_bytes(NEW_HEAD)
    versions.swap_in("another")


KEPT = {("open", b"first"), ("closed", b"second")}
Change = Callable[[ExampleStore], Any]


@pytest.mark.parametrize(
    ("change", "after"),
    [
        pytest.param(
            lambda store: add(store, "open", b"third"), KEPT | {("open", b"third")}, id="add"
        ),
        pytest.param(
            lambda store: store.relabel("gate", first_id(store), "ajar"),
            {("ajar", b"first"), ("closed", b"second")},
            id="relabel",
        ),
        pytest.param(
            lambda store: store.remove_example("gate", first_id(store)),
            {("closed", b"second")},
            id="remove",
        ),
        pytest.param(lambda store: store.delete("gate"), set(), id="delete"),
        pytest.param(swap, KEPT, id="swap"),
        pytest.param(lambda store: store.versions("gate").undo(), KEPT, id="undo"),
    ],
)
def test_a_kill_at_any_moment_leaves_before_or_after(
    folder: Path, tmp_path: Path, change: Change, after: set[tuple[str, bytes]]
) -> None:
    if after == KEPT:
        store = ExampleStore(folder, LIMIT)
        swap(store)
        store.close()
    seen, count = [], 1
    while True:
        copy = shutil.copytree(folder, tmp_path / str(count))
        killed = killed_at(count, copy, change)
        found = images(copy)
        assert found in (KEPT, after), count
        assert leftovers(copy) == set(), count
        head = copy / "gate.head.npz"
        if found:
            assert not head.exists() or head.read_bytes() in (OLD_HEAD, NEW_HEAD), count
            assert head.exists() or after == set(), count
        assert images(copy) == found, count  # what is opened once more is the same
        seen.append(found)
        if not killed:
            break
        count += 1
    assert count > 1
    assert seen[0] == KEPT
    assert seen[-1] == after


def test_a_second_process_cannot_change_the_folder(folder: Path) -> None:
    store = ExampleStore(folder, LIMIT)
    pid = fork()
    if pid == 0:
        try:
            ExampleStore(folder, LIMIT)
        except Exception as error:
            os._exit(7 if "Another process" in str(error) else 1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    store.close()
