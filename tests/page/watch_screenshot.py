"""The screenshot of the Watch view in docs: `python -m tests.page.watch_screenshot`."""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import expect

from app.http import assets
from app.settings import Settings
from tests.app.cameras.watched import put
from tests.conftest import REAL_MODEL, ROOT
from tests.page.browser import DESK, chromium, visit
from tests.serving import served

SURE = {
    "labels": ["Egyptian cat", "espresso"], "in_a_row": 1, "start_probability": 0.3,
    "end_probability": 0.2, "cool_down_s": 0,
}  # fmt: skip
PHOTOS = ("cat", "coffee")
PAUSE_MS = 2500
CROP = (48, 60, 1232, 560)


def main(target: Path = ROOT / "docs" / "watch.webp") -> None:
    """Let two cameras see the page's example photos, and save a screenshot."""
    with TemporaryDirectory(prefix="frames-") as name:
        gate, yard = Path(name, "gate"), Path(name, "yard")
        cameras = {
            "gate": {"source": str(gate), "zone": [[0.05, 0.05, 0.7, 0.9]], **SURE},
            "yard": {"source": str(yard), **SURE},
        }
        for folder in (gate, yard):
            folder.mkdir()
        store = ROOT / "models" / "store"
        settings = Settings(store=store, models=(REAL_MODEL,), default_model=REAL_MODEL)
        with (
            served(settings.with_tables({"cameras": cameras})) as client,
            chromium() as browser,
            visit(browser, f"{client.base_url}/watch", DESK) as seen,
        ):
            expect(seen.page.locator(".badge.fine")).to_have_count(2)
            for turn in range(4):
                for folder, photo in zip(
                    (gate, yard), PHOTOS if turn % 2 else PHOTOS[::-1], strict=True
                ):
                    put(folder, f"{turn}.jpg", assets.asset(f"examples/{photo}.jpg").plain)
                seen.page.wait_for_timeout(PAUSE_MS)
            shot = Image.open(BytesIO(seen.page.screenshot())).convert("RGB")
    shot.crop(CROP).save(target, quality=82, method=6)


if __name__ == "__main__":
    main()
