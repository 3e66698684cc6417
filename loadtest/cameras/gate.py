"""How many inferences the change gate saves on still scenes, and how many changes it misses."""

import time
from typing import Annotated

import numpy as np
import typer

from app.arrays import Uint8Array
from app.cameras.change_gate import CELLS, ChangeGate
from app.cameras.frames.encoded_frame import EncodedFrame
from app.cameras.frames.zone import WHOLE
from app.images.decode_memory import UNLIMITED
from app.images.limits import ImageLimits
from loadtest.cameras.noisy_scenes import NOISES, Size, frame, still_scene, with_object

VGA = Size(640, 480)
SEED = 19
QUIET_FRAMES, FRAME_S = 5, 0.2
SHARE, LEVELS = 0.05, 20  # of the smallest object that must be seen


def saved_share(noise: str, frames: int, size: Size, seed: int = SEED) -> float:
    """The share of inferences that a still scene needs not, the first frame aside."""
    random = np.random.default_rng(seed)
    scene, gate = still_scene(random, size), ChangeGate()
    gate.keep(grey(frame(scene, noise, random, 0)))
    inferred = sum(_look(gate, grey(frame(scene, noise, random, at))) for at in range(frames))
    return 1 - inferred / frames


def found_changes(noise: str, changes: int, size: Size, seed: int = SEED) -> int:
    """How many objects are seen in the first frame that shows them, each in a scene of its own."""
    random, found, at = np.random.default_rng(seed), 0, 0
    for _ in range(changes):
        scene, gate = still_scene(random, size), ChangeGate()
        for _ in range(QUIET_FRAMES):
            at += 1
            _look(gate, grey(frame(scene, noise, random, at)))
        changed = with_object(scene, SHARE, LEVELS, random)
        found += gate.differs(grey(frame(changed, noise, random, at + 1)))
    return found


def grey(data: bytes) -> Uint8Array:
    """What the gate sees of a JPEG."""
    found = EncodedFrame(data, ImageLimits(), UNLIMITED).grey(WHOLE, CELLS, 0)
    assert found is not None  # noqa: S101  it is a JPEG
    return found


def _look(gate: ChangeGate, seen: Uint8Array) -> bool:
    """Let the gate see a frame; whether it asks for inference."""
    if gate.differs(seen):
        gate.keep(seen)
        return True
    gate.follow(seen, FRAME_S)
    return False


def look_cpu_ms(width: int, height: int, looks: int = 200) -> float:
    """Processor time of one look at a frame of this size that shows no change."""
    random = np.random.default_rng(SEED)
    scene = still_scene(random, Size(width, height))
    data = frame(scene, "Gaussian, sigma 4", random, 0)
    gate = ChangeGate()
    gate.keep(grey(data))
    began = time.process_time()
    for _ in range(looks):
        _look(gate, grey(data))
    return (time.process_time() - began) * 1000 / looks


def main(
    frames: Annotated[int, typer.Option(help="Frames of each still scene.")] = 500,
    changes: Annotated[int, typer.Option(help="Scripted changes for each kind of noise.")] = 50,
) -> None:
    """Print a table; exit status 1 if less than 95 % is saved or a change missed."""
    failed = False
    print(f"| noise | inferences saved in {frames} frames | changes seen of {changes} |")
    print("|---|---|---|")
    for noise in NOISES:
        saved, found = saved_share(noise, frames, VGA), found_changes(noise, changes, VGA)
        failed |= saved < 0.95 or found < changes
        print(f"| {noise} | {saved:.1%} | {found} |", flush=True)
    for width, height in ((640, 480), (1280, 720), (1920, 1080)):
        print(f"a look at {width}x{height}: {look_cpu_ms(width, height):.2f} ms of processor time")
    raise typer.Exit(failed)


if __name__ == "__main__":
    typer.run(main)
