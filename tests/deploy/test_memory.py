"""No image that a deployment accepts can take more memory than its limit.

docs/operations.md says what a pixel takes in each format, and the sum. Here the first is measured,
and the second is made of what each deployment sets.
"""

import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from app.cameras.memory import cameras_bytes, service_bytes
from app.cameras.settings import read_cameras
from app.environment import variable
from app.settings import Settings
from app.settings_sources import load_settings
from tests.app.sample_images import encode
from tests.conftest import ROOT
from tests.deploy import compose_file

yaml = pytest.importorskip("yaml", reason="needs PyYAML, of the development requirements")
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
BYTES_A_PIXEL = {
    name: int(figure)
    for name, figure in re.findall(r"^\| ([^|]+) \| (\d+) \|$", PAGE, re.MULTILINE)
}
SUM = re.compile(
    r"(\d+) MB \+ WORKERS x (\d+) MB \+ MAX_DECODE_BYTES \+ HELPER_MEMORY_BYTES"
    r" \+ MAX_INFLIGHT_BYTES \+ (\d+) x MAX_BODY_BYTES \+ MAX_CONNECTIONS x ([\d.]+) MB"
)
WIDTH, HEIGHT = 4000, 3000
CORES = 16  # of the largest gateway, if the workers follow the machine
CUDA_BYTES = 10**9  # what deploy/jetson.md reserves for the GPU's libraries

# Decodes a file like the service and prints the maximum growth of the process.
PEAK = """
import sys
from pathlib import Path
from app.system import memory
from app.card.card import Preprocessing
from app.images.decode import ImageLimits, load_image

def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024

memory.map_large_blocks()
usual = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
squash = Preprocessing(resize="central_crop", crop_fraction=0.875, interpolation="bilinear")
file, first, reduced, narrow = sys.argv[1], sys.argv[2], "1" in sys.argv[3], "1" in sys.argv[4]
load_image(Path(first).read_bytes(), 224, usual, ImageLimits())
data = Path(file).read_bytes()
before = resident("VmRSS")
load_image(data, 224, squash if narrow else usual, ImageLimits(), reduced_decode=reduced)
print(resident("VmHWM") - before)
"""


def flat(mode: str, image_format: str, **options: Any) -> bytes:
    return encode(Image.new(mode, (WIDTH, HEIGHT)), image_format, **options)


def png(kind: int, bits: int, *, transparent: bool = False, width: int = WIDTH) -> bytes:
    """A black PNG of colour type `kind` with `bits` per pixel, and as many pixels as the others."""
    height = WIDTH * HEIGHT // width
    depth = 16 if bits > 32 else 8
    key = [(b"tRNS", struct.pack(">3H", 0, 1, 0))] if transparent else []
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)),
        *key,
        (b"IDAT", zlib.compress(bytes((1 + width * bits // 8) * height), 1)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def tiff_rgba16() -> bytes:
    """A black TIFF of four samples of 16 bits, in one strip, which Pillow cannot write."""
    pixels = zlib.compress(bytes(WIDTH * HEIGHT * 8), 1)
    fields, depths = 10, struct.pack("<4H", 16, 16, 16, 16)
    after = 8 + 2 + 12 * fields + 4
    directory = [
        # tag (TIFF 6.0), type: 3 short, 4 long; count, value or its offset
        (256, 4, 1, WIDTH), (257, 4, 1, HEIGHT), (258, 3, 4, after), (259, 3, 1, 8),
        (262, 3, 1, 2), (273, 4, 1, after + len(depths)), (277, 3, 1, 4), (278, 4, 1, HEIGHT),
        (279, 4, 1, len(pixels)), (338, 3, 1, 2),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *entry) for entry in directory)
    return (
        b"II*\x00" + struct.pack("<IH", 8, fields) + entries + bytes(4) + depths + pixels
    )  # a short in a long, little-endian, is that short


def animation() -> bytes:
    second = Image.new("RGB", (WIDTH, HEIGHT))
    second.putpixel((9, 9), (255, 255, 255))
    return flat("RGB", "WEBP", save_all=True, append_images=[second], method=0)


ONE_STRIP: dict[str, Any] = {"compression": "tiff_lzw", "strip_size": 2**31 - 1}
PROGRESSIVE: dict[str, Any] = {"progressive": True, "subsampling": 0}
IMAGES: dict[str, Callable[[], bytes]] = {
    "baseline JPEG, decoded at half its size or less": lambda: flat("RGB", "JPEG"),
    "baseline JPEG, full size": lambda: flat("RGB", "JPEG"),
    "progressive JPEG, 4:4:4, decoded at half its size or less": lambda: flat(
        "RGB", "JPEG", **PROGRESSIVE
    ),
    "progressive JPEG, 4:4:4, full size": lambda: flat("RGB", "JPEG", **PROGRESSIVE),
    "progressive JPEG, CMYK, full size": lambda: flat("CMYK", "JPEG", **PROGRESSIVE),
    "PNG, RGB": lambda: png(2, 24),
    "PNG, 16-bit RGBA": lambda: png(6, 64),
    "PNG, RGB with a transparent colour": lambda: png(2, 24, transparent=True),
    "BMP": lambda: flat("RGB", "BMP"),
    "GIF, transparent": lambda: flat("P", "GIF", transparency=0),
    "TIFF, RGB in one strip": lambda: flat("RGB", "TIFF", **ONE_STRIP),
    "TIFF, 16-bit RGBA in one strip": tiff_rgba16,
    "WebP": lambda: flat("RGB", "WEBP", method=0),
    "WebP, animated": animation,
    "AVIF, 4:4:4, transparent": lambda: flat("RGBA", "AVIF", subsampling="4:4:4", speed=10),
    "PNG, RGB with a transparent colour, 8 pixels wide": lambda: png(
        2, 24, transparent=True, width=8
    ),
}


@pytest.mark.unmeasured
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc, as on Linux")
@pytest.mark.parametrize("name", IMAGES)
def test_decoding_takes_the_memory_that_is_documented(name: str, tmp_path: Path) -> None:
    file, first = tmp_path / "image", tmp_path / "first.jpg"
    file.write_bytes(IMAGES[name]())
    first.write_bytes(encode(Image.new("RGB", (64, 64))))
    reduced, narrow = str(int("full size" not in name)), str(int("wide" in name))
    run = subprocess.run(
        [sys.executable, "-c", PEAK, file, first, reduced, narrow],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    measured = int(run.stdout) / (WIDTH * HEIGHT)
    assert BYTES_A_PIXEL[name] - 1.5 < measured < BYTES_A_PIXEL[name] + 0.5


def test_each_format_of_the_table_is_measured() -> None:
    assert BYTES_A_PIXEL.keys() == IMAGES.keys()


def test_the_helper_can_decode_40_megapixels_of_every_format_by_default() -> None:
    assert max(BYTES_A_PIXEL.values()) == 17
    assert Settings().helper_memory_bytes >= 40_000_000 * 17


class Deployment(NamedTuple):
    """The variables of a deployment, its cores, and its memory limit in bytes."""

    given: dict[str, str]
    limit: int
    cores: int = CORES
    beside: int = 0


def size(text: str) -> int:
    """Bytes of a size in the notation of Docker, Kubernetes or systemd."""
    number, unit = re.fullmatch(r"(\d+)([kmg])i?", text.lower()).groups()  # type: ignore[union-attr]  # else it fails
    return int(number) * int(1024 ** ("kmg".index(unit) + 1))


def compose(name: str, env_file: str | None = None) -> Deployment:
    """A service of the compose file, by its defaults or an env file."""
    variables = compose_file.read_variables(ROOT / env_file) if env_file else {}
    service = compose_file.services(variables)[name]
    memory = service["deploy"]["resources"]["limits"]["memory"]
    beside = CUDA_BYTES if service.get("runtime") == "nvidia" else 0
    return Deployment(compose_file.environment(service), size(memory), beside=beside)


def kubernetes() -> Deployment:
    text = (ROOT / "deploy/kubernetes/deployment.yaml").read_text("utf-8")
    [container] = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"]
    given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    limits = container["resources"]["limits"]
    return Deployment(given, size(limits["memory"]), cores=int(limits["cpu"]))


def systemd() -> Deployment:
    text = (ROOT / "deploy/mobilenet-gateway.service").read_text("utf-8")
    found = re.search(r"^MemoryMax=(.*)$", text, re.MULTILINE)
    assert found
    return Deployment(dict(re.findall(r"^Environment=(\w+)=(.*)$", text, re.M)), size(found[1]))


DEPLOYMENTS = {
    "compose": compose("gateway"),
    "raspberry-pi": compose("raspberrypi"),
    "raspberry-pi-1gb": compose("raspberrypi", "deploy/raspberry-pi-1gb.env"),
    "raspberry-pi-4gb": compose("raspberrypi", "deploy/raspberry-pi-4gb.env"),
    "cameras": compose("cameras"),
    "replica": compose("replica"),
    "jetson": compose("jetson", "deploy/jetson.env"),
    "kubernetes": kubernetes(),
    "systemd": systemd(),
}


@pytest.fixture(params=DEPLOYMENTS)
def deployment(request: pytest.FixtureRequest) -> Deployment:
    return DEPLOYMENTS[request.param]


@pytest.fixture
def settings(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that a deployment's variables give."""
    for name, text in deployment.given.items():
        if name.startswith(variable("")):
            monkeypatch.setenv(name, text)
    return load_settings()


def test_what_a_deployment_accepts_fits_its_limit(
    deployment: Deployment, settings: Settings
) -> None:
    [figures] = SUM.findall(PAGE)
    at_rest, worker, bodies = map(int, figures[:3])
    connection = float(figures[3])
    most = (
        at_rest * 10**6
        + (settings.workers or deployment.cores) * worker * 10**6
        + settings.max_decode_bytes
        + settings.helper_memory_bytes
        + settings.max_inflight_bytes
        + bodies * settings.max_body_bytes
        + settings.max_connections * connection * 10**6
    )
    assert most + deployment.beside <= deployment.limit
    assert most == pytest.approx(service_bytes(settings, settings.workers or deployment.cores))


def test_the_limit_of_the_cameras_profile_has_room_for_the_documented_number_of_cameras() -> None:
    deployment = DEPLOYMENTS["cameras"]
    settings = load_settings(
        {
            name.removeprefix(variable("")).lower(): text
            for name, text in deployment.given.items()
            if name.startswith(variable(""))
        }
    )
    video, images = {"source": "rtsp://a/"}, {"source": "http://a/"}
    tables = {f"v{number}": video for number in range(2)} | {
        f"i{number}": images for number in range(6)
    }
    cameras = cameras_bytes(read_cameras({"cameras": tables}), frames_published=True)
    assert service_bytes(settings, CORES) + cameras <= deployment.limit


def test_a_photo_of_12_megapixels_is_accepted_everywhere(settings: Settings) -> None:
    for width, height in ((4000, 3000), (4032, 3024), (4080, 3072), (4608, 2592)):
        assert width * height * max(BYTES_A_PIXEL.values()) <= settings.helper_memory_bytes


def test_a_photo_of_64_megapixels_is_accepted_everywhere_as_baseline_jpeg(
    settings: Settings,
) -> None:
    a_pixel = BYTES_A_PIXEL["baseline JPEG, decoded at half its size or less"]
    for width, height in ((8160, 6144), (9152, 6944), (9280, 6944)):  # phones and Pi cameras
        assert width * height <= settings.max_pixels
        assert width * height * a_pixel <= settings.helper_memory_bytes
    assert settings.max_body_bytes >= 24_000_000
