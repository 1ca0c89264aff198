"""The live tab in a real Chromium, against the real server."""

import json
import re
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from endoforge.captures.index import index_root
from endoforge.captures.played_video import PlayedVideo
from endoforge.captures.schema import MANIFEST_NAME
from tests.chromium import NEEDS_BROWSER, Page, expect
from tests.view.browser.page import (
    A_NUMBER,
    DESKTOP,
    PHONE,
    button,
    hud,
    open_page,
    picture,
    wait_for_a_picture,
    wait_for_another_picture,
)
from tests.view.browser.viewer import BEST, CHECKPOINT, wait_until

pytestmark = NEEDS_BROWSER


def steps_aside(url: str, host: str) -> bool:
    """Whether it leads to another host than `host`."""
    return not re.match(rf"(blob:)?(http|ws)://{re.escape(host)}/", url)


def test_the_page_loads_without_errors_and_from_its_own_host_alone(browser, viewer):
    page = browser.new_page(viewport=DESKTOP)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))

    page.goto(viewer.address)
    wait_for_a_picture(page)
    page.keyboard.press("2")
    expect(page.locator(".run img").first).to_be_visible()

    assert said == []
    host = viewer.address.removeprefix("http://")
    assert [url for url in asked if steps_aside(url, host)] == []
    assert f"ws://{host}/live" in asked
    page.close()


def test_frames_arrive_and_change(live):
    pictures = set()

    def three_pictures() -> bool:
        pictures.add(picture(live))
        return len(pictures) >= 3

    wait_until(three_pictures)


def test_the_hud_tells_where_the_scope_is_and_how_fast_all_goes(live):
    expect(hud(live, "segment")).to_have_text(re.compile("Rectum|Sigmoid|Descending|Transverse"))
    expect(live.locator(".tube.here")).to_have_count(1)
    for name in ("depth", "length", "ms-median", "ms-p95", "detect-hz", "shown-hz", "rendered-hz"):
        expect(hud(live, name)).to_have_text(A_NUMBER)
    for name in ("count", "dropped", "skipped", "clients", "tp", "fp", "fn"):
        expect(hud(live, name)).to_have_text(A_NUMBER)
    expect(live.locator("#seed")).to_have_value("7")


def pressed(action: str) -> Callable[[Page], str | None]:
    return lambda page: button(page, action).get_attribute("aria-pressed")


def text(name: str) -> Callable[[Page], str | None]:
    return lambda page: hud(page, name).text_content()


# Key, what of the page it changes, and the key that takes it back.
KEYS: list[tuple[str, Callable[[Page], object], str]] = [
    ("p", pressed("autopilot"), "p"),
    ("c", text("camera"), "c"),
    ("k", pressed("pause"), "k"),
    (",", text("speed"), "."),
    (".", text("speed"), ","),
    ("b", text("mode"), "b"),
    ("-", text("objectness"), "="),
    ("=", text("objectness"), "-"),
    ("[", text("iou"), "]"),
    ("]", text("iou"), "["),
    ("t", pressed("truth"), "t"),
    ("v", pressed("newest_first"), "v"),
    ("l", pressed("record"), "l"),
    ("o", pressed("data_run"), "o"),
    ("2", lambda page: page.locator("#panel-training").is_visible(), "1"),
    ("3", lambda page: page.locator("#panel-labels").is_visible(), "1"),
    ("1", lambda page: page.locator("#panel-live").is_visible(), "1"),
    ("?", lambda page: page.locator("#help").is_visible(), "?"),
    ("x", lambda page: page.locator("#legend").is_visible(), "x"),
    ("g", lambda page: page.locator("#log-list").inner_text().count("clip is being made"), ""),
    ("f", lambda page: page.evaluate("() => Boolean(document.fullscreenElement)"), "f"),
    ("n", lambda page: page.locator("#seed").input_value(), ""),
]


@pytest.mark.parametrize(("key", "seen", "back"), KEYS, ids=[key for key, _, _ in KEYS])
def test_a_key_does_what_it_says(live, key, seen, back):
    if key == "1":
        live.keyboard.press("2")
        wait_until(lambda: not seen(live))
    before = seen(live)

    live.keyboard.press(key)

    wait_until(lambda: seen(live) not in (before, None))
    if back and key != "1":
        live.keyboard.press(back)
        wait_until(lambda: seen(live) == before)


ENDOSCOPE = {"w": "+forward", "s": "-forward", "a": "-roll", "d": "+roll"}
FREE = {"w": "+forward", "s": "-forward", "a": "-right", "d": "+right", "q": "-roll", "e": "+roll"}
FREE |= {"Space": "+up", "Shift": "-up"}
LOOK = {"ArrowLeft": "-yaw", "ArrowRight": "+yaw", "ArrowUp": "+pitch", "ArrowDown": "-pitch"}


@pytest.mark.parametrize(
    ("camera", "keys"), [("Endoscope", ENDOSCOPE | LOOK), ("Free camera", FREE | LOOK)]
)
def test_held_keys_steer(browser, viewer, camera, keys):
    page = browser.new_page(viewport=DESKTOP)
    sent: list[dict[str, object]] = []
    page.on("websocket", lambda s: s.on("framesent", lambda text: sent.append(json.loads(text))))
    page.goto(viewer.address)
    wait_for_a_picture(page)
    if camera == "Free camera":
        page.keyboard.press("c")
    expect(hud(page, "camera")).to_have_text(camera)

    def steered() -> dict[str, object]:
        page.wait_for_timeout(1)  # lets the messages be heard
        rates = [message for message in sent if message["type"] == "steer"][-1:]
        return {axis: rate for axis, rate in (rates or [{}])[0].items() if rate and axis != "type"}

    for key, (sign, *axis) in keys.items():
        page.keyboard.down(key)
        wanted = {"".join(axis): 1 if sign == "+" else -1}

        def is_steered(wanted: dict[str, int] = wanted) -> bool:
            return steered() == wanted

        wait_until(is_steered)
        page.keyboard.up(key)
        wait_until(lambda: steered() == {})
    if camera == "Free camera":
        page.keyboard.press("c")
        expect(hud(page, "camera")).to_have_text("Endoscope")
    page.close()


def fly_from_the_middle(page: Page) -> None:
    """By autopilot, far from both ends of the colon: it may go on where it comes by once more."""
    page.keyboard.press("k")
    page.locator("#seek").fill("30")
    expect(page.locator("#seek-time")).to_have_text(re.compile("^0:30 / "))
    page.locator("#seek").blur()  # keys are the page's again
    page.keyboard.press("k")


def test_pushing_goes_deeper_and_the_autopilot_lets_go(live):
    def depth() -> float:
        return float(hud(live, "depth").text_content() or 0)

    fly_from_the_middle(live)
    for key, sign in (("w", 1), ("s", -1)):
        before = depth()
        live.keyboard.down(key)

        def has_moved(sign: int = sign, before: float = before) -> bool:
            return sign * (depth() - before) > 0.5

        wait_until(has_moved)
        live.keyboard.up(key)
        expect(button(live, "autopilot")).to_have_attribute("aria-pressed", "false")
    live.keyboard.press("p")
    expect(button(live, "autopilot")).to_have_attribute("aria-pressed", "true")


def test_dragging_looks_around(live):
    fly_from_the_middle(live)
    expect(button(live, "autopilot")).to_have_attribute("aria-pressed", "true")
    live.mouse.move(400, 300)
    live.mouse.down()
    live.mouse.move(440, 310, steps=3)
    live.mouse.up()
    expect(button(live, "autopilot")).to_have_attribute("aria-pressed", "false")
    live.keyboard.press("p")
    expect(button(live, "autopilot")).to_have_attribute("aria-pressed", "true")


def test_every_key_of_the_help_is_tested(live):
    live.keyboard.press("?")
    # Those of a video or folder, the second, are pressed in test_source_page.py.
    sections = "#help-body section:nth-child(-n + 5):not(:nth-child(2))"
    shown = live.locator(f"{sections} kbd").all_text_contents()
    live.keyboard.press("Escape")
    expect(live.locator("#help")).to_be_hidden()

    tested = {key for key, _, _ in KEYS} | set(OF_TIME + OF_TWO)
    assert {key.lower() for key in shown} == tested


OF_TIME = "hjr"
OF_TWO = "y"


def test_a_flight_is_sought_through_and_looped_by_bar_and_keys(browser, viewer):
    page = open_page(browser, viewer)
    place, loop = page.locator("#seek-time"), button(page, "loop")
    page.keyboard.press("k")
    expect(page.locator("#chip-paused")).to_be_visible()
    page.locator("#seek").fill("30")
    expect(place).to_have_text(re.compile("^0:30 / "))
    expect(loop).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("r")
    expect(loop).to_have_text(re.compile("^Loop to"))
    page.keyboard.press("j")
    expect(place).to_have_text(re.compile("^0:35 / "))
    page.keyboard.press("h")
    page.keyboard.press("j")
    expect(place).to_have_text(re.compile("^0:35 / "))
    page.keyboard.press("r")
    expect(loop).to_have_text(re.compile("^Looping"))
    expect(place).to_have_text(re.compile("^0:30 / "))
    page.locator("#seek").fill("34.5")
    page.keyboard.press("k")
    expect(place).to_have_text(re.compile("^0:34 / "))
    expect(place).to_have_text(re.compile("^0:30 / "))
    expect(page.locator("#loop-marks")).to_be_visible()
    page.keyboard.press("r")
    expect(page.locator("#loop-marks")).to_be_hidden()
    page.close()


TWO_PRESSES = """async () => {
  const { seekBy } = await import("/static/js/playbar.js");
  const sent = [];
  const page = { connection: { send: (message) => sent.push(message) } };
  for (const seconds of [-5, 5]) {
    page.state = { world: { place_s: 35 } };
    seekBy(page, seconds);
  }
  return sent;
}"""


def test_a_second_press_goes_on_from_the_first_whatever_state_comes_between(live):
    """An old one may: it was on its way when the server heard of the first press."""
    assert live.evaluate(TWO_PRESSES) == [
        {"type": "seek_by", "seconds": -5},
        {"type": "seek_by", "seconds": 5},
    ]


def test_thresholds_move_in_steps_of_a_twentieth(live):
    expect(hud(live, "objectness")).to_have_text("0.30")
    expect(hud(live, "iou")).to_have_text("0.50")
    for key in "==]":
        live.keyboard.press(key)
    expect(hud(live, "objectness")).to_have_text("0.40")
    expect(hud(live, "iou")).to_have_text("0.55")
    button(live, "objectness-down").click()
    button(live, "objectness-down").click()
    button(live, "iou-down").click()
    expect(hud(live, "objectness")).to_have_text("0.30")
    expect(hud(live, "iou")).to_have_text("0.50")


def test_a_seed_of_64_bits_is_flown_to_the_digit(live):
    for seed in (str(2**64 - 1), "7"):
        live.locator("#seed").fill(seed)
        live.locator("#seed").press("Enter")
        expect(live.locator("#seed")).not_to_be_focused()
        expect(live.locator("#seed")).to_have_value(seed)
    live.locator("#seed").fill(str(2**64))
    live.locator("#seed").press("Enter")
    expect(live.locator(".toast.warning")).to_contain_text("2^64 - 1")
    live.locator("#seed").press("Escape")
    expect(live.locator("#seed")).to_have_value("7")


def test_a_picture_and_a_clip_are_saved_and_a_link_leads_to_its_moment(browser, viewer):
    page = open_page(browser, viewer)
    page.evaluate("() => { location.hash = '#seed=7&at=67'; }")
    expect(hud(page, "time")).to_have_text(re.compile(r"^1:[01]\d$"))
    for _ in range(2):  # one of before may be on its way: of the new moment there would be no clip
        wait_for_another_picture(page)
    with page.expect_download() as saving:
        button(page, "save_picture").click()
    assert re.fullmatch(r"endoforge-seed-7-frame-\d+\.png", saving.value.suggested_filename)
    with page.expect_download() as saving:
        button(page, "save_clip").click()
    assert re.fullmatch(r"endoforge-seed-7-1m\d\d\.mp4", saving.value.suggested_filename)
    video = PlayedVideo(saving.value.path())
    assert {rgb.shape for _, rgb in video.frames()} == {(96, 160, 3)}
    button(page, "link").click()
    wait_until(lambda: int(page.url.rpartition("&at=")[2] or 0) >= 67)
    page.close()


def test_other_weights_are_chosen_and_broken_ones_are_told_of(live, viewer):
    broken = viewer.folder / "checkpoints/broken.safetensors"
    choice, weights = live.locator("#weights-choice"), hud(live, "weights")
    expect(choice).to_have_value(CHECKPOINT)
    broken.write_bytes(b"no weights at all")
    expect(choice.locator("option", has_text="broken")).to_have_count(1)
    choice.select_option(BEST)
    expect(weights).to_contain_text(f"{BEST} ")
    choice.select_option("checkpoints/broken.safetensors")
    expect(live.locator(".toast.error")).to_contain_text(re.compile(rf"broken.*{BEST} \w+ stays"))
    expect(choice).to_have_value(BEST)
    broken.unlink()
    choice.select_option(CHECKPOINT)
    expect(weights).to_contain_text(f"{CHECKPOINT} ")


def test_two_detectors_have_their_own_boxes_counts_and_thresholds(live):
    second = live.locator("#second-choice")
    expect(live.locator("#second-counts")).to_be_hidden()
    live.keyboard.press("y")
    expect(live.locator("#whose-row")).to_be_hidden()
    second.select_option("heuristic")
    expect(live.locator("#second-name")).to_have_text("the heuristic detector")
    expect(live.locator("#second-note")).to_contain_text("half as many")
    expect(live.locator("#legend")).to_contain_text("second detector")
    expect(live.locator("#second-fn")).to_have_text(A_NUMBER)
    live.keyboard.press("=")
    expect(hud(live, "objectness")).to_have_text("0.35")
    live.keyboard.press("y")
    expect(live.locator("#whose")).to_have_text("Second")
    expect(hud(live, "objectness")).to_have_text("0.30")
    for _ in range(5):
        live.keyboard.press("-")
    expect(hud(live, "objectness")).to_have_text("0.05")
    expect(live.locator("#view")).not_to_have_attribute("data-seconds", "0")
    live.keyboard.press("y")
    expect(hud(live, "objectness")).to_have_text("0.35")
    live.keyboard.press("-")
    second.select_option("none")
    expect(live.locator("#second-counts")).to_be_hidden()
    expect(live.locator("#view")).to_have_attribute("data-seconds", "0")


def test_truth_is_shown_beside_the_detections(live):
    live.keyboard.press("t")
    expect(live.locator("#legend")).to_contain_text("false alarm")
    live.keyboard.press("t")
    expect(live.locator("#legend li")).to_have_text(["track", "not confirmed"])


def test_the_page_tells_of_the_polyps_of_the_colon(live):
    expect(hud(live, "polyps")).to_have_text(re.compile(r"^[1-9]\d*$"))
    for name in ("lesions-found", "lesions-missed", "false-tracks"):
        expect(hud(live, name)).to_have_text(A_NUMBER)
    expect(hud(live, "delay")).to_have_text(re.compile(r"^(\u2013|\d+\.\d\d)$"))


MARKS = """async () => {
  const { ColonMap } = await import("/static/js/colon.js");
  const root = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const map = new ColonMap(root);
  const places = () => [...root.querySelectorAll(".mark")].map((mark) =>
    [mark.getAttribute("class"), mark.getAttribute("transform")]);
  map.mark([
    { kind: "found", segment: "rectum", share: 0 },
    { kind: "missed", segment: "cecum", share: 1 },
    { kind: "false", segment: "rectum", share: 0.9 },
  ]);
  const before = places();
  map.mark([]);
  return [before, places()];
}"""


def test_the_map_marks_what_was_found_missed_and_false(live):
    before, after = live.evaluate(MARKS)
    # The course's first point and its last; at 0.9 the rectum has long ended: that is its end.
    assert before[0] == ["mark found", "translate(63.0 113.0)"]
    assert before[1][0] == "mark missed"
    assert before[2][0] == "mark false"
    (x, y), (first_x, first_y) = (
        map(float, re.findall(r"[\d.]+", place)) for _, place in (before[2], before[0])
    )
    assert 20 < first_y - y < 40
    assert abs(x - first_x) < 10
    assert after == []


PAINTED = """async (boxes) => {
  const { Painter } = await import("/static/js/draw.js");
  const stage = document.createElement("div");
  const canvas = document.createElement("canvas");
  stage.style.cssText = "width: 200px; height: 100px";
  stage.append(canvas);
  document.body.append(stage);
  const painter = new Painter(canvas, stage);
  painter.setAspect(200, 100);
  const bitmap = await createImageBitmap(new ImageData(200, 100));
  painter.show(bitmap, { frame: 1, boxes, truth: null });
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const lit = data.filter((value, place) => place % 4 === 2 && value > 128).length;
  const { boxes: count, tracks } = canvas.dataset;
  stage.remove();
  return { lit, count, tracks };
}"""


def test_tracks_have_their_ids_and_what_isnt_confirmed_a_thin_line(live):
    def painted(**one: object) -> dict[str, object]:
        box: dict[str, object] = {"xyxy": [0.25, 0.4, 0.5, 0.8], "score": 0.9, "label": "polyp"}
        box |= {"track": 12, "matched": True, "hit": None}
        done: dict[str, object] = live.evaluate(PAINTED, [box | one])
        return done

    track, carried, nobody = painted(), painted(matched=False), painted(track=None)
    assert (track["count"], track["tracks"]) == ("1", "12")
    assert (nobody["count"], nobody["tracks"]) == ("1", "")
    assert isinstance(track["lit"], int)
    assert isinstance(carried["lit"], int)
    assert isinstance(nobody["lit"], int)
    assert track["lit"] > carried["lit"] > nobody["lit"] > 0


def test_what_is_recorded_is_a_valid_run(live, viewer):
    before = {path.name for path in viewer.runs.glob("run_*")}
    live.keyboard.press("l")
    expect(live.locator("#chip-rec")).to_be_visible()
    wait_until(lambda: int(hud(live, "rec-frames").text_content() or 0) >= 3)
    live.keyboard.press("l")
    expect(live.locator("#chip-rec")).to_be_hidden()
    expect(hud(live, "run")).to_have_text(re.compile(r"^run_\d+, ended$"))
    name = (hud(live, "run").text_content() or "").removesuffix(", ended")
    count = int((hud(live, "frames").text_content() or "").split()[0])

    index = index_root(viewer.runs / name, strict=True)

    assert name not in before
    assert count == len(index.frames) >= 3
    manifest = json.loads((viewer.runs / name / MANIFEST_NAME).read_text())
    assert manifest["endoforge"]["complete"] is True
    assert manifest["endoforge"]["frames"] == count


def test_two_pages_see_one_world(browser, live, viewer):
    other = open_page(browser, viewer)
    expect(hud(other, "clients")).not_to_have_text("1")
    other.keyboard.press("=")
    expect(hud(live, "objectness")).to_have_text("0.35")
    live.keyboard.press("-")
    expect(hud(other, "objectness")).to_have_text("0.30")
    for page in (live, other):
        wait_for_another_picture(page)
    other.close()


OPEN_SOCKET = """(url) => new Promise((resolve) => {
  const socket = new WebSocket(url);
  socket.onmessage = () => { socket.close(); resolve("heard"); };
  socket.onclose = () => resolve("refused");
})"""


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def test_a_page_of_another_origin_is_refused(browser, live, viewer, tmp_path):
    (tmp_path / "index.html").write_text("<!doctype html><title>other</title>")
    handler = partial(QuietFiles, directory=str(tmp_path))
    other = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=other.serve_forever, daemon=True).start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{other.server_port}/")
    socket = viewer.address.replace("http", "ws") + "/live"

    assert page.evaluate(OPEN_SOCKET, socket) == "refused"
    assert live.evaluate(OPEN_SOCKET, socket) == "heard"
    page.close()
    other.shutdown()


@pytest.mark.parametrize("tab", ["", "#training"])
def test_a_phone_needs_no_sideways_scroll(browser, viewer, tab):
    page = open_page(browser, viewer, PHONE, tab)
    if tab:
        expect(page.locator(".run").first).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    page.close()


SIZES = """() => {
  const box = (id) => document.getElementById(id).getBoundingClientRect();
  const buttons = [...document.querySelectorAll(".top button, #panel-live button")];
  return {
    stage: [box("stage").width, box("stage").height],
    view: [box("view").width, box("view").height],
    least: Math.min(...buttons.filter((one) => one.offsetParent)
      .map((one) => one.getBoundingClientRect().height)),
  };
}"""


def sizes_on(browser, viewer, width, height, **more):
    page = browser.new_page(viewport={"width": width, "height": height}, **more)
    page.goto(viewer.address)
    wait_for_a_picture(page)
    sizes = page.evaluate(SIZES)
    page.close()
    return sizes


@pytest.mark.parametrize(("width", "height"), [(390, 844), (844, 390)])
def test_on_a_phone_the_picture_fits_and_fingers_hit_the_controls(browser, viewer, width, height):
    sizes = sizes_on(browser, viewer, width, height, has_touch=True, is_mobile=True)
    assert sizes["stage"][1] <= height
    assert sizes["least"] >= 44


@pytest.mark.parametrize(("width", "height"), [(1100, 1000), (1600, 700)])
def test_the_stage_is_the_picture_without_bars(browser, viewer, width, height):
    sizes = sizes_on(browser, viewer, width, height)
    assert sizes["view"] == pytest.approx(sizes["stage"], abs=1)
    assert sizes["stage"][1] > 200


LOWEST = """() => Math.max(...[...document.querySelectorAll("main .card, main button")]
  .filter((node) => !node.closest(".run-list"))
  .map((node) => node.getBoundingClientRect().bottom))"""


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1400, 880)])
def test_all_readings_are_seen_at_once(browser, viewer, width, height):
    page = open_page(browser, viewer, {"width": width, "height": height})
    hidden = page.locator(".hud").evaluate("(hud) => hud.scrollHeight - hud.clientHeight")
    page.close()
    assert hidden == 0


@pytest.mark.parametrize("tab", ["", "#training"])
def test_a_desktop_needs_no_scroll_at_all(browser, viewer, tab):
    page = open_page(browser, viewer, DESKTOP, tab)
    lowest = page.evaluate(LOWEST)
    assert lowest <= DESKTOP["height"]
    page.close()
