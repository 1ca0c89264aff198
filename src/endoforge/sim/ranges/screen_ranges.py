"""Ranges of the screen, and of how its picture is recorded."""

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, Nuisance

NEVER = Nuisance(probability=0.0, strength=(0.2, 1.0))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScreenRanges:
    """What the video processor shows beside the picture, where and in which shape it shows that."""

    framing: Nuisance = NEVER
    """cut circles, octagons of all corners, bare rectangles; wide margins, edges cut off"""
    stretched: Nuisance = NEVER
    """pixels that aren't square: 1 is 4:3 shown as 16:9, or the other way round"""
    ground: Nuisance = NEVER
    """grey, bluish or brownish in place of black around the picture: 1 is a grey of 60 of 255"""
    panels: Nuisance = NEVER
    """coloured panels beside the picture: course of the scope, words, buttons, scales, cursor"""
    repeated: Nuisance = NEVER
    """the picture once more in a small inset, live or frozen, its polyps without a label"""
    stills: Nuisance = NEVER
    """a row of small stills, cut from the picture, their polyps without a label"""
    twin: Nuisance = NEVER
    """the picture again beside itself in other colours, its polyps without a label"""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RecordingRanges:
    """What cameras of old and recorders do to the picture."""

    colour_ghosts: Nuisance = NEVER
    """red, green and blue taken one after another: 1 is 1/30 s apart; none without motion blur"""
    interlaced: Nuisance = NEVER
    """combs, every second line of another moment: 1 is 1/25 s away; none without motion blur"""
    doubled: Nuisance = NEVER
    """the picture of a moment ago shines through: 1 is by a half; none without motion blur"""
    soft: Nuisance = NEVER
    """as if shown larger than it was recorded"""
    ringing: Nuisance = NEVER
    """sharpened once more by the recorder, the screen's words and edges too"""
    soft_chroma: Nuisance = NEVER
    """colours smear to the right, as over an analogue cable"""
