"""Renews docs/images/timeline.jpg: `make view-shots`.

Records a stretch of a procedure, measures the packaged weights on it, and takes a picture of the
report's timeline in Chromium, with the stills of one track open. A folder as the argument keeps
what was made, and the next time goes on from there.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from tools.make_view_shots import chromium, save

from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.evaluate.config import EvalConfig
from endoforge.report.eval_command import run_eval

SIZE = {"width": 1240, "height": 1100}
OPENED = 1
"""The lane whose stills are shown, from 0."""


def main(folder: Path) -> None:
    """Write docs/images/timeline.jpg."""
    root = folder / "captures"
    generate(
        DatagenConfig(
            seed=900, runs=1, fps=25.0, from_s=200.0, to_s=212.0, output_root=str(root), resume=True
        )
    )
    config = EvalConfig(
        checkpoint="packaged", input_root=str(root), lesions=True, report=str(folder / "report")
    )
    report = run_eval(config).report
    if report is None:
        raise AssertionError("a report was asked for")
    with sync_playwright() as api:
        browser = api.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(report.resolve().as_uri())
        page.locator("button.lane .who").nth(OPENED).click()
        page.mouse.move(0, 0)
        # The table of numbers is left out: it repeats what the lanes show.
        page.locator(".timeline .scroll").evaluate("(table) => table.remove()")
        shot = page.locator(".timeline").screenshot()
        browser.close()
    save(shot, "timeline.jpg")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
