"""The label tab in a real Chromium, against the real server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chromium import NEEDS_BROWSER, Browser, Page, expect
from tests.view.browser.page import DESKTOP, PHONE
from tests.view.browser.viewer import Viewer, wait_until
from tests.view.labelling.runs import choose, drawn, guess, label_of, write_run

pytestmark = NEEDS_BROWSER
NOT_LOOKED_AT: dict[str, Any] = {"source": "predicted", "reviewed": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server runs; runs to label lie under its default root."""
    folder = tmp_path_factory.mktemp("labels")
    (folder / "assets/datasets/captures").mkdir(parents=True)
    write_run(folder / "shown", [[]])
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Viewer]:
    viewer = Viewer(folder, "--source", "shown")
    yield viewer
    viewer.stop()


def new_run(server: Viewer, frames: list[Any], **more: Any) -> Path:
    return write_run(server.runs, frames, **(NOT_LOOKED_AT | more))


def open_run(browser: Browser, server: Viewer, run: Path, size=DESKTOP, **context: Any) -> Page:
    page = browser.new_context(viewport=size, **context).new_page()
    page.goto(f"{server.address}/#labels")
    page.locator("#label-runs .run").filter(has_text=run.name).click()
    expect(page.locator("#label-where")).not_to_have_text("")
    expect(page.locator("#label-stage")).not_to_have_class(re.compile("loading"))
    return page


def saved(page: Page) -> None:
    expect(page.locator("#label-saved")).to_have_text("All saved")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag from one pixel of the picture to another."""
    page.mouse.move(*at(page, *start))
    page.mouse.down()
    page.mouse.move(*at(page, *end), steps=5)
    page.mouse.up()


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the picture is on the page."""
    box = page.locator("#label-stage img").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"] / 96, box["y"] + y * box["height"] / 64


def boxes(run: Path, number: int) -> list[list[float]]:
    return [polyp["bbox_px"] for polyp in label_of(run, number)["polyp_labels"]]


def near(found: list[list[float]], *wanted: tuple[float, ...]) -> bool:
    return len(found) == len(wanted) and all(
        all(abs(a - b) <= 1 for a, b in zip(one, two, strict=True))
        for one, two in zip(found, wanted, strict=True)
    )


def test_predictions_are_confirmed_by_enter_and_the_next_frame_comes(browser, server):
    run = new_run(server, [[guess(10, 12, 40, 44)], [guess(20, 12, 50, 44)]])
    page = open_run(browser, server, run)
    expect(page.locator("#label-status")).to_have_text("Predicted: needs a look")
    expect(page.locator(".label-stage .box.predicted")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#label-where")).to_have_text("2 / 2")
    page.keyboard.press("Enter")
    expect(page.locator("#label-done")).to_have_text("2 of 2 labelled")
    expect(page.locator(".toast")).to_have_text("Every frame of this run is labelled")
    saved(page)
    for number in (0, 1):
        label = label_of(run, number)
        assert (label["reviewed"], label["polyp_labels"][0]["score"]) == (True, 0.6)
    page.context.close()


def test_a_box_is_drawn_moved_resized_classed_and_removed_by_keys(browser, server):
    run = new_run(server, [[], []])
    page = open_run(browser, server, run)
    drag(page, (20, 10), (50, 40))
    expect(page.locator("#label-boxes li")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowRight")
    page.locator("#label-class-name").fill("adenoma")
    page.keyboard.press("Enter")
    wait_until(lambda: near(boxes(run, 0), (21, 11, 52, 41)))
    wait_until(lambda: label_of(run, 0)["polyp_labels"][0]["label"] == "adenoma")
    [polyp] = label_of(run, 0)["polyp_labels"]
    assert (polyp["source"], polyp["reviewed"], polyp["polyp_id"]) == ("annotated", True, 1)
    assert label_of(run, 0)["reviewed"] is False, "nobody has confirmed the frame as yet"
    page.keyboard.press("1")
    wait_until(lambda: label_of(run, 0)["polyp_labels"][0]["label"] == "polyp")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.locator("#label-boxes li.selected")).to_have_count(1)
    page.keyboard.press("Delete")
    wait_until(lambda: boxes(run, 0) == [])
    page.context.close()


def test_a_box_is_moved_and_resized_by_the_mouse(browser, server):
    run = new_run(server, [[guess(20, 10, 50, 40)]])
    page = open_run(browser, server, run)
    drag(page, (35, 25), (45, 30))
    wait_until(lambda: near(boxes(run, 0), (30, 15, 60, 45)))
    drag(page, (60, 45), (70, 55))
    wait_until(lambda: near(boxes(run, 0), (30, 15, 70, 55)))
    assert "score" not in label_of(run, 0)["polyp_labels"][0]
    page.context.close()


def test_undo_and_redo_reach_over_saves_and_frames(browser, server):
    run = new_run(server, [[guess(10, 12, 40, 44)], [guess(20, 12, 50, 44)], []])
    page = open_run(browser, server, run)
    page.keyboard.press("n")
    expect(page.locator("#label-where")).to_have_text("2 / 3")
    saved(page)
    assert boxes(run, 0) == []
    page.keyboard.press("Control+z")
    expect(page.locator("#label-where")).to_have_text("1 / 3")
    wait_until(lambda: boxes(run, 0) == [[10, 12, 40, 44]])
    label = label_of(run, 0)
    assert (label["reviewed"], label["polyp_labels"][0]["score"]) == (False, 0.6)
    page.keyboard.press("Control+Shift+z")
    wait_until(lambda: boxes(run, 0) == [])
    assert label_of(run, 0)["reviewed"] is True
    page.context.close()


def test_what_was_confirmed_is_carried_to_a_frame_without_a_label(browser, server):
    run = write_run(server.runs, [None, None])
    for number in (0, 1):  # a scope that stands still
        source = run / "images/frame_00000.png"
        (run / f"images/frame_0000{number}.png").write_bytes(source.read_bytes())
    page = open_run(browser, server, run)
    drag(page, (20, 10), (50, 40))
    page.keyboard.press("Enter")
    expect(page.locator("#label-where")).to_have_text("2 / 2")
    expect(page.locator(".label-stage .box.suggested")).to_have_count(1)
    expect(page.locator("#label-note")).to_contain_text("Carried over")
    assert not (run / "labels/frame_00001.json").exists()
    page.keyboard.press("Enter")
    saved(page)
    assert near(boxes(run, 1), tuple(boxes(run, 0)[0]))
    polyp = label_of(run, 1)["polyp_labels"][0]
    assert (polyp["polyp_id"], polyp["source"], polyp["reviewed"]) == (1, "predicted", True)
    page.context.close()


def test_of_two_people_neither_loses_a_label(browser, server):
    run = new_run(server, [[guess(10, 12, 40, 44)]])
    mine, theirs = open_run(browser, server, run), open_run(browser, server, run)
    drag(theirs, (60, 10), (90, 30))
    saved(theirs)
    mine.keyboard.press("n")
    dialog = mine.locator("#label-conflict")
    expect(dialog).to_be_visible()
    expect(dialog.locator("figcaption")).to_have_text(
        ["Mine: 0 boxes, confirmed", "Theirs: 2 boxes"]
    )
    mine.keyboard.press("Enter")  # meant for the frame: it decides nothing
    expect(dialog).to_be_visible()
    assert len(boxes(run, 0)) == 2
    mine.get_by_role("button", name="Take theirs").click()
    expect(mine.locator("#label-boxes li")).to_have_count(2)
    theirs.keyboard.press("Control+z")
    saved(theirs)
    mine.keyboard.press("n")
    mine.get_by_role("button", name="Keep mine").click()
    saved(mine)
    assert (boxes(run, 0), label_of(run, 0)["reviewed"]) == ([], True)
    for page in (mine, theirs):
        page.context.close()


def test_undo_brings_back_mine_and_never_undoes_anothers(browser, server):
    run = new_run(server, [[guess(10, 12, 40, 44)], [guess(10, 12, 40, 44)]])
    mine, theirs = open_run(browser, server, run), open_run(browser, server, run)
    drag(theirs, (60, 10), (90, 30))
    saved(theirs)
    mine.keyboard.press("n")
    mine.get_by_role("button", name="Take theirs").click()
    saved(mine)
    assert len(boxes(run, 0)) == 2
    mine.keyboard.press("Control+z")
    wait_until(lambda: boxes(run, 0) == [])
    theirs.keyboard.press(".")
    expect(theirs.locator("#label-where")).to_have_text("2 / 2")
    theirs.keyboard.press(",")
    expect(theirs.locator("#label-where")).to_have_text("1 / 2")
    theirs.keyboard.press("Control+z")
    expect(theirs.locator("#label-toasts .toast")).to_contain_text("Somebody else has changed")
    assert (boxes(run, 0), label_of(run, 0)["reviewed"]) == ([], True)
    for page in (mine, theirs):
        page.context.close()


def test_what_cant_be_sent_is_kept_and_sent_later_even_by_the_next_page(browser, server):
    run = new_run(server, [[guess(10, 12, 40, 44)], []])
    page = open_run(browser, server, run)
    page.context.route("**/api/labels/*/*", lambda route: route.abort(), times=None)
    page.keyboard.press("Delete")
    page.keyboard.press("n")
    expect(page.locator("#label-saved")).to_have_text("Not saved yet: 1 frame; kept here")
    expect(page.locator("#label-problem")).to_contain_text("doesn't answer")
    assert len(boxes(run, 0)) == 1
    page.context.unroute("**/api/labels/*/*")
    held: list[Any] = []
    page.context.route("**/api/labels/*/*", lambda route: held.append(route))
    page.reload()
    expect(page.locator("#label-saved")).to_have_text("Saving…")
    for _ in range(1000):
        if not held:  # it is on its way
            page.wait_for_timeout(20)
    held[0].continue_()
    saved(page)
    assert boxes(run, 0) == []
    assert page.evaluate("localStorage.length") == 0
    page.context.close()


def test_the_simulators_truth_is_shown_and_changed_only_after_unlocking(browser, server):
    truth = drawn(10, 12, 40, 44).model_copy(update={"source": "simulated", "reviewed": None})
    run = new_run(server, [[truth], []], source=None, reviewed=None, extra={"scene": {}})
    page = open_run(browser, server, run)
    expect(page.locator("#label-status")).to_have_text("Given")
    drag(page, (60, 10), (90, 30))
    expect(page.locator(".toast")).to_contain_text("Unlock it first")
    expect(page.locator("#label-boxes li")).to_have_count(1)
    page.get_by_role("button", name="Unlock").click()
    drag(page, (60, 10), (90, 30))
    wait_until(lambda: len(boxes(run, 0)) == 2)
    page.context.close()


def test_who_only_watches_looks_and_changes_nothing(browser, folder):
    server = Viewer(folder, "--source", "shown", "--host", "0.0.0.0")
    wait_until(lambda: "to watch only" in "".join(server.said))
    said = "".join(server.said)
    token = re.findall(r"watch only: .*token=([\w-]+)", said)[0]
    run = new_run(server, [[guess(10, 12, 40, 44)], [guess(10, 12, 40, 44)]])
    page = browser.new_context(viewport=DESKTOP).new_page()
    port = re.findall(r":(\d+)/", said)[0]
    page.goto(f"http://127.0.0.1:{port}/?token={token}")
    page.keyboard.press("3")
    expect(page.locator("#panel-labels .watches-why")).to_be_visible()
    expect(page.get_by_role("button", name="Train on these")).to_be_hidden()
    page.locator("#label-runs .run").filter(has_text=run.name).click()
    expect(page.locator("#label-boxes li")).to_have_count(1)
    drag(page, (60, 10), (90, 30))
    expect(page.locator("#label-toasts .toast")).to_have_text("This address is for watching only")
    page.keyboard.press("Enter")
    expect(page.locator("#label-where")).to_have_text("2 / 2")
    expect(page.locator("#label-saved")).to_have_text("All saved")
    assert [label_of(run, number)["reviewed"] for number in (0, 1)] == [False, False]
    page.context.close()
    server.stop()


def test_only_the_chosen_frames_are_gone_through(browser, server):
    run = new_run(server, [[], [], [], []])
    choose(server.runs / "selected.json", (run.name, 1), (run.name, 3))
    page = open_run(browser, server, run)
    expect(page.locator("#label-where")).to_have_text("2 / 4")
    expect(page.locator("#label-done")).to_have_text("0 of 2 chosen")
    page.keyboard.press("n")
    expect(page.locator("#label-where")).to_have_text("4 / 4")
    page.get_by_label("Only the chosen").uncheck()
    page.keyboard.press("n")
    expect(page.locator("#label-where")).to_have_text("1 / 4")
    choose(server.runs / "selected.json", ("run_other", 1))
    page.locator("#label-back").click()
    expect(page.locator("#label-choice-problem")).to_contain_text("names frames of run_other")
    (server.runs / "selected.json").unlink()
    expect(page.locator("#label-choice-problem")).to_be_hidden()
    page.context.close()


def test_the_picture_is_zoomed_where_the_wheel_turns(browser, server):
    run = new_run(server, [[guess(10, 12, 40, 44)]])
    page = open_run(browser, server, run)
    stage = page.locator("#label-stage")
    page.mouse.move(*at(page, 25, 28))
    before = at(page, 25, 28)
    page.mouse.wheel(0, -400)
    expect(stage).to_have_attribute("data-zoom", "1.90")
    after = at(page, 25, 28)
    assert abs(before[0] - after[0]) < 30, "the edge of the picture may keep it from there"
    page.mouse.dblclick(*at(page, 45, 25))
    expect(stage).to_have_attribute("data-zoom", "1.00")
    page.keyboard.press("+")
    expect(stage).to_have_attribute("data-zoom", "1.50")
    page.keyboard.press("0")
    expect(stage).to_have_attribute("data-zoom", "1.00")
    page.context.close()


def test_by_touch_everything_is_large_enough(browser, server):
    run = new_run(server, [[guess(10, 12, 40, 44)], []])
    page = open_run(browser, server, run, PHONE, has_touch=True, is_mobile=True)
    x, y = at(page, 25, 28)
    page.touchscreen.tap(x, y)
    expect(page.locator("#label-boxes li.selected")).to_have_count(1)
    shown = page.locator("#panel-labels button:visible, #panel-labels input:visible")
    small = [
        control.get_attribute("id") or control.inner_text()
        for control in shown.all()
        if (box := control.bounding_box()) is not None
        and box["height"] < 44
        and control.get_attribute("type") != "range"
    ]
    assert small == []
    page.get_by_role("button", name="Confirm").tap()
    expect(page.locator("#label-where")).to_have_text("2 / 2")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"], "nothing hangs over the side"
    page.context.close()


def test_a_server_that_is_killed_while_one_saves_has_whole_labels(browser, folder):
    """And what it had not written, the page sends to the next one."""
    server = Viewer(folder, "--source", "shown")
    run = new_run(server, [[guess(10, 12, 40, 44)] for _ in range(30)])
    page = open_run(browser, server, run)
    for number in range(30):
        page.keyboard.press("Enter")
        if number == 12:
            server.process.kill()
            server.process.wait()
            break
    labels = [label_of(run, number) for number in range(30)]
    assert all(len(label["polyp_labels"]) == 1 for label in labels), "each is whole"
    expect(page.locator("#label-saved")).not_to_have_text("Saving…")
    waiting = page.evaluate("Object.keys(localStorage).map((key) => Number(key.split('/').at(-1)))")
    confirmed = {number for number in range(30) if labels[number]["reviewed"]} | set(waiting)
    assert confirmed, "the first was confirmed before the server was killed"
    port = server.address.rsplit(":", 1)[1]
    again = Viewer(folder, "--source", "shown", "--port", port)
    page.reload()
    wait_until(lambda: page.evaluate("localStorage.length") == 0)
    assert all(label_of(run, number)["reviewed"] for number in confirmed), "none is lost"
    again.stop()
    page.context.close()


def test_the_run_of_thousands_of_frames_loads_few_of_them(browser, server):
    run = new_run(server, [[guess(10, 12, 40, 44)]])
    label = (run / "labels/frame_00000.json").read_text()
    picture = (run / "images/frame_00000.png").read_bytes()
    for number in range(1, 5000):
        fields = json.loads(label) | {"frame_id": number, "image": f"images/frame_{number:05d}.png"}
        (run / f"labels/frame_{number:05d}.json").write_text(json.dumps(fields))
        (run / f"images/frame_{number:05d}.png").write_bytes(picture)
    page = browser.new_context(viewport=DESKTOP).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.address}/#labels")
    page.locator("#label-runs .run").filter(has_text=run.name).click()
    expect(page.locator("#label-where")).to_have_text("1 / 5,000")
    page.locator("#label-place").fill("4998")
    expect(page.locator("#label-where")).to_have_text("4,999 / 5,000")
    page.keyboard.press("Enter")
    expect(page.locator("#label-where")).to_have_text("5,000 / 5,000")
    of_frames = [url for url in asked if f"/api/labels/{run.name}/" in url]
    assert len(of_frames) < 20
    page.context.close()
