"""A server from its start without a checkpoint to Ctrl-C, as seen in a real Chromium."""

import os
import signal

from endoforge.captures.index import index_root
from tests.chromium import NEEDS_BROWSER, expect
from tests.view.browser.page import hud, open_page
from tests.view.browser.viewer import CHECKPOINT, Viewer, renderers_of, wait_until

pytestmark = NEEDS_BROWSER


def test_the_heuristic_stands_in_until_a_checkpoint_comes_and_ctrl_c_ends_it(browser, tmp_path):
    viewer = Viewer(tmp_path)
    try:
        page = open_page(browser, viewer)
        expect(page.locator("#fallback")).to_contain_text(CHECKPOINT)
        expect(hud(page, "mode")).to_have_text("Heuristic")

        viewer.put_checkpoint()

        expect(page.locator("#fallback")).to_be_hidden()
        expect(hud(page, "mode")).to_have_text("Neural")

        [renderer] = renderers_of(viewer)
        os.kill(renderer, signal.SIGSTOP)
        expect(page.locator("#veil")).to_contain_text("The picture stands still")
        os.kill(renderer, signal.SIGCONT)
        expect(page.locator("#veil")).to_be_hidden()

        page.keyboard.press("l")
        wait_until(lambda: int(hud(page, "rec-frames").text_content() or 0) >= 1)
        viewer.process.send_signal(signal.SIGINT)
        assert viewer.process.wait(20) in (0, 130)
        assert len(index_root(viewer.runs, strict=True).frames) >= 1
        expect(page.locator("#link")).to_have_attribute("data-state", "lost")
        expect(page.locator("#veil")).to_contain_text("The simulator has ended")
        page.close()
    finally:
        viewer.stop()
