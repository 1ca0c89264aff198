"""The live tab on real pictures in a real Chromium."""

import cv2
import numpy as np

from endoforge.inference.drawn_video import DrawnVideo
from tests.chromium import NEEDS_BROWSER, expect
from tests.view.browser.page import button, hud, open_page, picture
from tests.view.browser.viewer import (
    CHECKPOINT,
    Viewer,
    renderers_of,
    wait_until,
    write_checkpoint,
)

pytestmark = NEEDS_BROWSER
SECONDS = 40


def test_a_video_is_shown_without_the_controls_of_the_simulator(browser, tmp_path):
    """Three as wide as four, which is another shape than the simulator's; then a broken stream."""
    write_checkpoint(tmp_path / CHECKPOINT)
    video = DrawnVideo(tmp_path / "clip.mp4", (240, 320))
    for number in range(10 * SECONDS):
        frame = np.full((240, 320, 3), 90, np.uint8)
        cv2.circle(frame, (60 + 2 * number, 120), 30, (220, 120, 110), -1)
        video.add(number / 10, frame)
    video.close()
    viewer = Viewer(tmp_path, "--source", "clip.mp4", "rtsp://eve:secret@127.0.0.1:9/cam")
    try:
        page = open_page(browser, viewer)
        expect(page.locator("#source-choice option").first).to_have_text("clip.mp4")
        for action in ("autopilot", "camera", "steer-pad", "new_seed", "data_run", "truth"):
            expect(button(page, action)).to_be_hidden()
        expect(page.locator("#place")).to_be_hidden()
        shape = page.locator("#view").evaluate("(view) => view.width / view.height")
        assert abs(shape - 4 / 3) < 0.01

        page.keyboard.press("k")
        expect(page.locator("#chip-paused")).to_be_visible()
        page.locator("#seek").fill("5")
        expect(page.locator("#source-state")).to_have_text(f"0:05 of 0:{SECONDS}")
        before = picture(page)
        page.keyboard.press("i")
        page.wait_for_function(
            "(before) => document.querySelector('#view').toDataURL() !== before", arg=before
        )
        page.keyboard.press("p")
        expect(page.locator("#toasts")).to_contain_text("nothing in them can be steered")
        page.keyboard.press("l")
        expect(page.locator("#chip-rec")).to_be_visible()
        page.keyboard.press("k")
        expect(hud(page, "rec-frames")).not_to_have_text("0")
        page.keyboard.press("l")

        page.locator("#source-choice").select_option(label="rtsp://***@127.0.0.1:9/cam")
        expect(page.locator("#veil-title")).to_have_text(
            "No new picture from rtsp://***@127.0.0.1:9/cam"
        )
        expect(page.locator("#veil-text")).to_contain_text("Connection refused; trying again in")
        expect(page.locator("#playbar")).to_be_hidden()
        expect(page.locator("#chip-rec")).to_be_hidden()

        for _ in range(2):
            page.locator("#source-choice").select_option(label="simulator")
            expect(page.locator("#veil")).to_contain_text("renderer is being prepared")
            expect(hud(page, "segment")).to_have_text("Rectum")
            expect(page.locator("#veil")).to_be_hidden()
            expect(page.locator("#seed-form")).to_be_visible()
            expect(page.locator("#source-about")).to_be_hidden()
            assert len(renderers_of(viewer)) == 1
            page.locator("#source-choice").select_option(label="clip.mp4")
            expect(page.locator("#place")).to_be_hidden()
            expect(page.locator("#source-state")).to_contain_text(f"of 0:{SECONDS}")
            wait_until(lambda: not renderers_of(viewer))
        page.close()
    finally:
        viewer.stop()
    assert "secret" not in "".join(viewer.said)
