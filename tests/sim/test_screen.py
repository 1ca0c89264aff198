"""The screen: what it covers, and that the same seed draws the same."""

import cv2
import numpy as np
import pytest

from endoforge.sim.display import Display
from endoforge.sim.screen import COVERED, make_screen
from endoforge.sim.screen.canvas import ScreenDrawing
from endoforge.sim.screen.panels import panel_windows
from endoforge.sim.screen.words import write_small
from endoforge.sim.streams import Stream, stream

SIZES = [(640, 360), (256, 256), (101, 67), (64, 64), (360, 640), (4096, 64), (1280, 1024)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("strength", [0.05, 0.5, 1.0])
def test_any_size_has_a_window_with_most_of_its_picture_open(
    width: int, height: int, strength: float
) -> None:
    for seed in range(6):
        screen = make_screen(seed, strength, width, height)
        x0, y0, x1, y1 = screen.window
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert screen.pixels.shape == (height, width)
        shown = screen.pixels == 0
        assert shown[y0:y1, x0:x1].mean() > 0.55
        shown[y0:y1, x0:x1] = False
        assert not shown.any(), "the picture ends where its window ends"
        covered = screen.pixels[screen.pixels != 0]
        assert (covered >> 24 == 1).all()


def test_without_strength_nothing_is_drawn() -> None:
    screen = make_screen(3, 0.0, 64, 48)
    assert screen.window == (0, 0, 64, 48)
    assert screen.style == "none"
    assert not screen.pixels.any()


def test_a_seed_draws_the_same_again_and_others_differ() -> None:
    one, again = (make_screen(5, 0.7, 320, 180) for _ in range(2))
    assert (one.pixels == again.pixels).all()
    styles = {make_screen(seed, 0.7, 320, 180).style for seed in range(20)}
    assert styles == {"octagonal", "round", "rounded"}


def test_more_strength_covers_more() -> None:
    shares = [
        np.mean([(make_screen(seed, strength, 640, 360).pixels != 0).mean() for seed in range(30)])
        for strength in (0.1, 1.0)
    ]
    assert 0.05 < shares[0] < shares[1] - 0.08 < 0.6


def test_the_mask_is_black_and_the_picture_in_one_piece() -> None:
    for seed in range(8):
        screen = make_screen(seed, 0.1, 640, 360)
        colours, counts = np.unique(screen.pixels[screen.pixels != 0], return_counts=True)
        assert colours[counts.argmax()] == COVERED
        parts = cv2.connectedComponents((screen.pixels == 0).astype(np.uint8))[0]
        assert parts == 2


def test_words_and_the_course_leave_panels_as_they_are() -> None:
    display, drawn = Display(panels=0.6), 0
    for seed in range(8):
        written, bare = (make_screen(seed, strength, 320, 180, display) for strength in (1.0, 0.0))
        drawn += int((written.pixels != bare.pixels).any())
        _, panels = panel_windows(stream(seed, Stream.LAYOUT), display.panels, 320, 180)
        for x0, y0, x1, y1 in panels:
            part = np.s_[y0:y1, x0:x1]
            assert (written.pixels[part] == bare.pixels[part]).all()
    assert drawn > 2


def test_small_words_begin_where_panels_end() -> None:
    drawing = ScreenDrawing.around(np.ones((180, 320), np.bool_), (0, 0, 0))
    write_small(drawing, np.random.default_rng(1), (80, 20, 320, 180))
    assert drawing.covered[20:, 80:].any()
    assert not drawing.covered[:, :80].any()
    assert not drawing.covered[:20].any()
