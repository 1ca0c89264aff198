"""A page that may only watch, in a real Chromium."""

import re

import pytest

from tests.chromium import NEEDS_BROWSER, expect
from tests.view.browser.page import DESKTOP, button, hud, wait_for_a_picture
from tests.view.browser.viewer import CHECKPOINT, Viewer, wait_until, write_checkpoint

pytestmark = NEEDS_BROWSER

CHANGING = ["autopilot", "pause", "loop", "save_clip", "record", "data_run", "detector", "truth"]
CHANGING += ["objectness-up", "new_seed", "newest_first", "reset_score", "link"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that others than this machine can reach, and the tokens of its two addresses."""
    folder = tmp_path_factory.mktemp("guarded")
    write_checkpoint(folder / CHECKPOINT)
    viewer = Viewer(folder, "--host", "0.0.0.0")
    wait_until(lambda: "to watch only" in "".join(viewer.said))
    said = "".join(viewer.said)
    port = re.findall(r":(\d+)/", said)[0]
    tokens = re.findall(r"token=([\w-]+)", said)
    address = f"http://127.0.0.1:{port}/?token="
    yield address + tokens[0], address + re.findall(r"watch only: .*token=([\w-]+)", said)[0]
    viewer.stop()


def open_address(browser, address):
    page = browser.new_context(viewport=DESKTOP).new_page()  # cookies of its own
    page.goto(address)
    wait_for_a_picture(page)
    return page


COUNT_REFUSALS = """() => {
  window.refusals = 0;
  new MutationObserver((changes) => {
    const added = changes.flatMap((change) => [...change.addedNodes]);
    window.refusals += added.filter((node) => node.matches?.(".toast.warning")).length;
  }).observe(document.body, { childList: true, subtree: true });
}"""
"""They leave the page after some seconds, before a busy machine has looked."""


def test_who_only_watches_sees_no_controls_and_why(browser, guarded):
    owner, watcher = (open_address(browser, address) for address in guarded)
    for action in CHANGING:
        expect(button(watcher, action)).to_be_hidden()
        expect(button(owner, action)).to_be_visible()
    why = watcher.locator("#panel-live .watches-why")
    expect(why).to_contain_text("Watching only")
    expect(owner.locator("#panel-live .watches-why")).to_be_hidden()
    for control in ("#seek", "#weights-choice", "#second-choice"):
        expect(watcher.locator(control)).to_be_disabled()
        expect(owner.locator(control)).to_be_enabled()
    watcher.evaluate(COUNT_REFUSALS)
    watcher.keyboard.press("k")
    expect(watcher.locator(".toast.warning")).to_have_text("This address is for watching only")
    watcher.keyboard.down("w")
    watcher.keyboard.up("w")
    expect(button(watcher, "boxes")).to_be_visible()
    with watcher.expect_download():
        button(watcher, "save_picture").click()
    owner.keyboard.press("k")
    expect(watcher.locator("#chip-paused")).to_be_visible()
    assert watcher.evaluate("window.refusals") == 1, "nothing else was refused"
    owner.locator("#seek").fill("0")  # however far it has flown by now
    expect(hud(watcher, "segment")).to_have_text("Rectum")

    watcher.keyboard.press("2")
    expect(watcher.locator("#panel-training .watches-why")).to_be_visible()
    expect(watcher.locator("#job-train form")).to_be_hidden()
    watcher.keyboard.press("1")
    watcher.set_viewport_size({"width": 390, "height": 844})
    assert watcher.evaluate("() => document.documentElement.scrollWidth") == 390
    owner.context.close()
    watcher.context.close()
