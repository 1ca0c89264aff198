"""The timeline as a person uses it: opened from disk, clicked, keyed, sorted."""

import cv2
import numpy as np
import pytest

from endoforge.report.page import RESEARCH_ONLY, Report, write_report
from endoforge.report.timeline import ASSETS, Clip, LesionLane, Still, Timeline, TrackLane
from tests.chromium import NEEDS_BROWSER, expect

pytestmark = NEEDS_BROWSER


def still(seconds: float, *, shown: bool = True) -> Still:
    _, data = cv2.imencode(".jpg", np.full((36, 64, 3), 90, np.uint8))
    box = (0.25, 0.5, 0.75, 0.9) if shown else None
    return Still(
        seconds=seconds,
        jpeg=data.tobytes(),
        box=box,
        score=0.8 if shown else None,
        truth=[(0.2, 0.5, 0.7, 0.9)],
    )


def track(number: int, begin: float, end: float, score: float, verdict: int) -> TrackLane:
    seconds = np.arange(begin, end + 0.01, 0.1)
    middle = (begin + end) / 2
    stills = [still(begin - 0.5, shown=False), still(begin), still(middle), still(end)]
    return TrackLane(
        number=number,
        label="polyp",
        seconds=seconds,
        scores=np.full(len(seconds), score),
        matched=np.ones(len(seconds), bool),
        best=stills[2],
        stills=stills,
        verdict=verdict,
    )


@pytest.fixture
def page(browser, tmp_path):
    clip = Clip(
        name="a clip <b>.mp4",
        about="20 s",
        begin=0.0,
        end=20.0,
        tracks=[track(1, 2.0, 6.0, 0.5, 4), track(2, 8.0, 9.0, 0.9, 0)],
        lesions=[
            LesionLane(
                number=4, what="IIa, 4 mm", visible=[(1.5, 7.0)], found=[(2, 6)], first_found=2.0
            ),
            LesionLane(number=5, what="Ip", visible=[(15, 16)], found=[], first_found=None),
        ],
    )
    path = tmp_path / "timeline.html"
    section = Timeline(clip)
    report = Report(
        title="T", subtitle="s", tiles=[], sections=[section], footer=RESEARCH_ONLY, assets=ASSETS
    )
    write_report(path, report)
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    faults: list[str] = []
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.on("request", lambda request: faults.append(request.url) if "data:" not in request.url[:5]
            and request.url != path.as_uri() else None)  # fmt: skip
    page.goto(path.as_uri())
    yield page
    page.close()
    assert faults == [], "no error, and nothing from anywhere else"


def test_lanes_say_what_was_found_missed_and_false(page):
    expect(page.locator("h3").first).to_have_text("Polyps in sight: 1 of 2 found")
    lesions = page.locator(".lesion")
    expect(lesions.nth(0)).to_contain_text("after 0.50 s")
    expect(lesions.nth(1)).to_contain_text("missed")
    lanes = page.locator("button.lane")
    expect(lanes.nth(0)).to_contain_text("polyp 4")
    expect(lanes.nth(1)).to_contain_text("false alarm")
    expect(lanes.nth(1)).to_contain_text("0:08.0 to 0:09.0")


def test_a_lane_lies_where_its_time_is(page):
    when = page.locator("button.lane .when").nth(0)
    place = when.bounding_box()
    bar = when.locator("rect").bounding_box()
    assert bar["x"] - place["x"] == pytest.approx(place["width"] * 2 / 20, abs=2)
    assert bar["width"] == pytest.approx(place["width"] * 4 / 20, abs=2)


def test_a_click_opens_the_best_still_and_keys_go_on(page):
    lane = page.locator("button.lane").nth(0)
    lane.locator(".who").click()
    said = page.locator(".detail p").first
    expect(lane).to_have_attribute("aria-expanded", "true")
    expect(said).to_have_text("Still 3 of 4, 0:04.00: score 0.80")
    expect(page.locator(".shot rect")).to_have_count(2)
    page.keyboard.press("ArrowRight")
    expect(said).to_have_text("Still 4 of 4, 0:06.00: score 0.80")
    page.keyboard.press("ArrowRight")
    expect(said).to_contain_text("Still 4 of 4")
    page.get_by_role("button", name="still at 0:01.50").click()
    expect(said).to_have_text("Still 1 of 4, 0:01.50: no track shown")
    expect(page.locator(".shot rect")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(lane).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".shot")).to_have_count(0)


def test_a_click_at_a_time_opens_the_still_nearest_to_it(page):
    when = page.locator("button.lane .when").nth(0)
    place = when.bounding_box()
    when.click(position={"x": place["width"] * 5.8 / 20, "y": 10})
    expect(page.locator(".detail p").first).to_have_text("Still 4 of 4, 0:06.00: score 0.80")
    page.locator("button.lane").nth(1).locator(".who").click()
    expect(page.locator(".shot")).to_have_count(1)


def test_the_table_sorts_both_ways_and_leads_to_a_track(page):
    first = page.locator("tbody td").first
    expect(first).to_have_text("1")
    page.get_by_role("button", name="peak score").click()
    expect(first).to_have_text("1")
    page.get_by_role("button", name="peak score").click()
    expect(first).to_have_text("2")
    expect(page.locator("th", has_text="peak score")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("button", name="show track 2").click()
    expect(page.locator("button.lane").nth(1)).to_have_attribute("aria-expanded", "true")


def test_a_telephone_shows_it_without_scrolling_aside(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("button.lane .who").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
