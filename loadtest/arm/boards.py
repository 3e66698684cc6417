"""The CPUs that are counted, as the kernel of a board describes them.

onnxruntime picks its kernels by /proc/cpuinfo and the features that the kernel reports, so both
have to be those of the CPU that qemu emulates.
"""

from dataclasses import dataclass
from pathlib import Path

CORES = 4
BASE = "fp asimd evtstrm"
ARMV8_2 = (
    f"{BASE} aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
)

CPUINFO = """\
processor\t: {core}
BogoMIPS\t: 108.00
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: {variant}
CPU part\t: {part}
CPU revision\t: {revision}

"""


@dataclass(frozen=True, slots=True)
class Board:
    """A CPU by its name in qemu."""

    cpu: str
    example: str
    features: str
    part: str
    variant: str
    revision: int

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write its /proc/cpuinfo and /sys/devices/system/cpu; return both."""
        cpuinfo, cores = folder / "cpuinfo", folder / "cpu"
        text = [
            CPUINFO.format(
                core=core,
                features=self.features,
                part=self.part,
                variant=self.variant,
                revision=self.revision,
            )
            for core in range(CORES)
        ]
        cpuinfo.write_text("".join(text), "ascii")
        for core in range(CORES):
            (cores / f"cpu{core}").mkdir(parents=True)
        for name in ("possible", "present", "online"):
            (cores / name).write_text(f"0-{CORES - 1}\n", "ascii")
        return cpuinfo, cores


BOARDS = (
    Board("cortex-a72", "Raspberry Pi 4", f"{BASE} crc32 cpuid", "0xd08", "0x0", 3),
    Board("cortex-a76", "Raspberry Pi 5", ARMV8_2, "0xd0b", "0x4", 1),
    Board("neoverse-n1", "Ampere Altra", f"{ARMV8_2} ssbs", "0xd0c", "0x3", 1),
)
