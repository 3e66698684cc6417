"""Time to the first paint of the page, and its size: `make page-shots`.

Each visit is a new profile with an empty cache. Chromium's own clock measures the first paint from
the start of the navigation.
"""

from pathlib import Path
from statistics import median

from playwright.sync_api import Browser
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.conftest import ROOT
from tests.page.browser import SCREENS, Screen, chromium, visit
from tests.processes import running

VISITS = 10
MEASURE = """async () => {
    const paint = await new Promise((found) => new PerformanceObserver((list) => {
        const [first] = list.getEntriesByName("first-contentful-paint");
        if (first) found(first.startTime);
    }).observe({type: "paint", buffered: true}));
    const files = performance.getEntries().filter(
        (one) => one.entryType === "navigation" || one.name.includes("/static/"));
    return [paint, files.reduce((sum, one) => sum + one.transferSize, 0)];
}"""


def look(browser: Browser, address: str, screen: Screen) -> tuple[float, int]:
    """Milliseconds to the first paint, and bytes of all files with headers, for one visit."""
    with visit(browser, address, screen) as seen:
        seen.page.wait_for_selector("#state.fine")
        first_paint_ms, sent_bytes = seen.page.evaluate(MEASURE)
    return float(first_paint_ms), int(sent_bytes)


def main(store: Path = ROOT / "models" / "store") -> None:
    """Print a table with a row for each screen."""
    table = Table("screen", "first paint, median", "slowest", "all files")
    with running(store) as service, chromium() as browser:
        look(browser, service.base_url, SCREENS[0])  # warm-up of the browser
        for screen in track(SCREENS, "visiting"):
            seen = [look(browser, service.base_url, screen) for _ in range(VISITS)]
            paints_ms = [first_paint_ms for first_paint_ms, _ in seen]
            table.add_row(
                f"{screen.name} {screen.width} x {screen.height}",
                f"{median(paints_ms):.0f} ms",
                f"{max(paints_ms):.0f} ms",
                f"{max(sent_bytes for _, sent_bytes in seen) / 1000:.1f} kB",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
