"""Ranges of the screen, and of how its picture is recorded."""

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScreenRanges:
    """What the video processor shows beside the picture, where and in which shape it shows that."""

    framing: Nuisance = Nuisance(probability=0.3, strength=(0.1, 1.0))
    """cut circles, octagons of all corners, bare rectangles; wide margins, edges cut off"""
    stretched: Nuisance = Nuisance(probability=0.05, strength=(0.2, 0.8))
    """pixels that aren't square: 1 is 4:3 shown as 16:9, or the other way round"""
    ground: Nuisance = Nuisance(probability=0.2, strength=(0.1, 0.5))
    """grey, bluish or brownish in place of black around the picture: 1 is a grey of 60 of 255"""
    panels: Nuisance = Nuisance(probability=0.05, strength=(0.1, 1.0))
    """coloured panels beside the picture: course of the scope, words, buttons, scales, cursor"""
    repeated: Nuisance = Nuisance(probability=0.1, strength=(0.0, 1.0))
    """the picture once more in a small inset, live or frozen, its polyps without a label"""
    stills: Nuisance = Nuisance(probability=0.02, strength=(0.0, 1.0))
    """a row of small stills, cut from the picture, their polyps without a label"""
    twin: Nuisance = Nuisance(probability=0.01, strength=(0.0, 1.0))
    """the picture again beside itself in other colours, its polyps without a label"""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RecordingRanges:
    """What cameras of old and recorders do to the picture."""

    colour_ghosts: Nuisance = Nuisance(probability=0.08, strength=(0.1, 0.7))
    """red, green and blue taken one after another: 1 is 1/30 s apart; none without motion blur"""
    interlaced: Nuisance = Nuisance(probability=0.02, strength=(0.1, 0.6))
    """combs, every second line of another moment: 1 is 1/25 s away; none without motion blur"""
    doubled: Nuisance = Nuisance(probability=0.02, strength=(0.2, 0.7))
    """the picture of a moment ago shines through: 1 is by a half; none without motion blur"""
    soft: Nuisance = Nuisance(probability=0.15, strength=(0.1, 0.6))
    """as if shown larger than it was recorded"""
    ringing: Nuisance = Nuisance(probability=0.06, strength=(0.1, 0.5))
    """sharpened once more by the recorder, the screen's words and edges too"""
    soft_chroma: Nuisance = Nuisance(probability=0.1, strength=(0.2, 0.7))
    """colours smear to the right, as over an analogue cable"""
