"""Renews the pictures of docs/sim-view.md: `make view-shots`.

Makes data, starts `endoforge sim-view`, trains from its page, and takes one picture of each tab in
Chromium. A folder as the argument keeps what was made, and the next time goes on from there.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.labelling import write_predictions
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

OUT = Path(__file__).parents[1] / "docs" / "images"
MOST_BYTES = 500_000
SIZE = {"width": 1280, "height": 720}
DATA = ["--runs", "24", "--max-frames", "40", "--seed", "1"]
EPOCHS, BATCH_SIZE, SHOT_AT_EPOCH = 16, 8, 9
SEED = 11
SEARCH_S, LEAST_HITS = 240, 100
"""How long a good moment is looked for, and the hits that are counted before it."""
FRAMES_TO_LABEL, REVIEWED, SHOWN_BOXES = 60, 14, 1
HOURS_MS = 3_600_000
ROOT = "assets/datasets/captures"


def main(folder: Path) -> None:
    """Write docs/images/sim-view-live.jpg, sim-view-training.jpg and sim-view-labels.jpg."""
    if not (folder / ROOT).exists():
        endoforge(folder, "datagen", *DATA, "--output-root", ROOT).communicate()
    trained = (folder / "checkpoints/tinydet.safetensors").exists()
    server = endoforge(folder, "sim-view", "--headless", "--port", "0", "--seed", str(SEED))
    try:
        address = address_of(server)
        with sync_playwright() as api:
            browser = api.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE)
            page.goto(address)
            # First, while the packaged weights are all that there is.
            save(live(page), "sim-view-live.jpg")
            page.goto(f"{address}/#training")
            save(training(page, train=not trained), "sim-view-training.jpg")
            browser.close()
    finally:
        server.terminate()
        server.wait()
    save(labels(folder), "sim-view-labels.jpg")


def labels(folder: Path) -> bytes:
    """The label tab: frames that the packaged weights have labelled, some of them reviewed."""
    root = folder / "predicted"
    if not root.exists():
        write_predictions(folder / ROOT, root, "packaged", 0.3, FRAMES_TO_LABEL)
    source = str(next(root.iterdir()))
    words = ["--headless", "--port", "0", "--source", source, "--output-root", str(root)]
    server = endoforge(folder, "sim-view", *words)
    try:
        address = address_of(server)
        with sync_playwright() as api:
            browser = api.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE)
            page.goto(f"{address}/#labels")
            page.locator("#label-runs .run").first.click()
            stage = page.locator("#label-stage:not(.loading)")
            boxes = page.locator("#label-boxes li")
            for looked_at in range(FRAMES_TO_LABEL):
                expect(stage).to_have_count(1)
                if looked_at >= REVIEWED and boxes.count() >= SHOWN_BOXES:
                    break
                page.keyboard.press("Enter")
                page.wait_for_timeout(500)
            boxes.first.locator(".pick").click()
            page.wait_for_timeout(1000)
            shot = page.screenshot()
            browser.close()
            return shot
    finally:
        server.terminate()
        server.wait()


def training(page: Page, *, train: bool) -> bytes:
    """The training tab: of a training that is started here, in its ninth epoch, or a done one."""
    expect(page.locator(".run").first).to_be_visible(timeout=60_000)
    job = page.locator("#job-train")
    epoch = page.locator("#tiles dd").nth(1)
    if train:
        pause(page)  # the cores are the training's
        page.keyboard.press("2")
        job.get_by_label("Epochs").fill(str(EPOCHS))
        job.get_by_label("Batch size").fill(str(BATCH_SIZE))
        job.get_by_role("button", name="Start").click()
        pattern = re.compile(rf"^({SHOT_AT_EPOCH}|1\d) / {EPOCHS}$")
        expect(epoch).to_have_text(pattern, timeout=HOURS_MS)
        page.wait_for_timeout(3000)
    shot = page.screenshot()
    if train:
        expect(job.locator(".badge")).to_have_text("done", timeout=HOURS_MS)
        pause(page)
    return shot


def pause(page: Page) -> None:
    """Pause the world, or go on."""
    page.keyboard.press("1")
    button = page.locator('[data-do="pause"]')
    paused = button.get_attribute("aria-pressed") == "true"
    button.click()
    expect(button).to_have_attribute("aria-pressed", str(not paused).lower(), timeout=60_000)


def live(page: Page) -> bytes:
    """The live tab with the truth shown, at a moment with a hit and something else to see."""
    page.keyboard.press("1")
    view = page.locator("#view")
    expect(view).to_have_attribute("data-frame", re.compile(r"\d+"), timeout=HOURS_MS)
    expect(page.locator('[data-hud="mode"]')).to_have_text("Neural", timeout=60_000)
    page.keyboard.press("t")
    page.locator('[data-do="reset_score"]').click()
    page.mouse.move(5, 400)
    best = b""
    until = time.monotonic() + SEARCH_S
    while time.monotonic() < until:
        page.wait_for_timeout(100)
        found = int(page.locator('[data-hud="tp"]').text_content() or 0)
        boxes, truth, hits = (
            int(view.get_attribute(f"data-{name}") or 0) for name in ("boxes", "truth", "hits")
        )
        if not hits or found < LEAST_HITS or page.locator(".toast").count():
            continue
        if boxes > hits or truth > hits:
            return page.screenshot()
        best = best or page.screenshot()
    return best or page.screenshot()


def save(png: bytes, name: str) -> None:
    """As a JPEG under docs/images."""
    path = OUT / name
    Image.open(io.BytesIO(png)).convert("RGB").save(path, quality=88, subsampling=0, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


def endoforge(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """A command of ours in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "endoforge", *words]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def address_of(server: "subprocess.Popen[str]") -> str:
    """What the server prints first; the rest of its words are let go."""
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.search(r"http://[\w.:]+", line):
            threading.Thread(target=server.stdout.read, daemon=True).start()
            return found[0]
    sys.exit("sim-view ended without an address")


def chromium() -> str:
    """Where it is."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    sys.exit("no Chromium: install the package chromium")


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
    total = sum(path.stat().st_size for path in OUT.glob("sim-view-*.jpg"))
    if total >= MOST_BYTES:
        sys.exit(f"{total // 1000} kB in all: more than {MOST_BYTES // 1000} kB")
