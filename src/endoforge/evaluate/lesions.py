"""The metrics of lesions: polyps found, how soon, and at what cost in false alarms.

They follow Marchese Aizenman et al. 2024, "Assessing clinical efficacy of polyp detection models
using open-access datasets", Frontiers in Oncology 14:1422942, where it defines them: recall of
polyps in the first seconds in which each can be seen, false alarms, and FROC of the two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from endoforge.evaluate.lesion_outcomes import FalseAlarm, PolypOutcome, SequenceOutcome

EARLY_SECONDS = (1.0, 3.0)
"""Within which polyps are to be found; 3 is the paper's."""
FROC_SCORES = tuple(round(0.1 * step, 1) for step in range(1, 10))
"""0.1, 0.2 .. 0.9, the paper's."""
DIAMETERS = ("diminutive, to 5 mm", "small, 6 to 9 mm", "large, from 10 mm")
DIMINUTIVE_MM, LARGE_MM = 5.0, 10.0
"""The sizes that guidelines tell apart (Ferlitsch et al. 2017, ESGE). They know whole millimetres:
here a polyp is small that is above the one limit and below the other."""
BOX_SIZES = ("box to 1 %", "box 1 to 5 %", "box over 5 %")
SMALL_BOX, MIDDLE_BOX = 0.01, 0.05
"""Where labels say no diameter: of its largest box, the share of the picture."""
UNKNOWN = "unknown"

Grouping = Callable[[PolypOutcome], str]


@dataclass(frozen=True)
class LesionGroup:
    """How many of the polyps of one size or kind were found."""

    name: str
    polyps: int
    found: int

    def to_record(self) -> dict[str, Any]:
        """An entry of `by_size` or `by_kind` in a metrics file."""
        return {"name": self.name, "polyps": self.polyps, "found": self.found}


@dataclass(frozen=True, kw_only=True)
class LesionMetrics:
    """How good what was shown of a set of sequences is, all of them together."""

    sequences: int
    seconds: float
    """Of all sequences: the sum of what their frames stand for."""
    polyps: tuple[PolypOutcome, ...]
    """One a polyp and sequence: every polyp with a box in any frame."""
    false_alarms: tuple[FalseAlarm, ...]
    false_seconds: float
    false_changes: int

    @property
    def num_found(self) -> int:
        """How many polyps were found."""
        return sum(polyp.first_found is not None for polyp in self.polyps)

    @property
    def found(self) -> float | None:
        """Share of the polyps that was found; None, as of all shares of nothing, without any."""
        return _ratio(self.num_found, len(self.polyps))

    def found_within(self, seconds: float) -> float | None:
        """Share of the polyps that was found before they could be seen for longer than this.

        Of all polyps, those that can be seen for less time than that too, as in the paper.
        """
        found = sum(polyp.found_within(seconds) for polyp in self.polyps)
        return _ratio(found, len(self.polyps))

    def delay(self, share: float) -> float | None:
        """Seconds within which this share, 0..1, of the polyps that were found was found."""
        delays = [polyp.delay for polyp in self.polyps if polyp.delay is not None]
        return float(np.quantile(delays, share)) if delays else None

    @property
    def seen_found(self) -> float | None:
        """Share of the time in which polyps can be seen with something shown on them."""
        visible = sum(polyp.visible_seconds for polyp in self.polyps)
        return _ratio(sum(polyp.found_seconds for polyp in self.polyps), visible)

    @property
    def flicker(self) -> float | None:
        """Changes between found and not found, a second in which a polyp can be seen.

        To be found first, which `delay` tells of, isn't counted.
        """
        visible = sum(polyp.visible_seconds for polyp in self.polyps)
        return _ratio(sum(polyp.changes for polyp in self.polyps), visible)

    @property
    def false_alarms_a_minute(self) -> float:
        """Of all time, with polyps in the picture or without."""
        return 60 * len(self.false_alarms) / self.seconds

    @property
    def false_alarms_a_sequence(self) -> float:
        """Of a procedure, or patient, where each is one sequence."""
        return len(self.false_alarms) / self.sequences

    @property
    def false_time(self) -> float:
        """Share of all time with something on screen that is on no polyp."""
        return self.false_seconds / self.seconds

    @property
    def false_flicker(self) -> float:
        """Changes between something false on screen and nothing false, a second of all time."""
        return self.false_changes / self.seconds

    def by_size(self) -> tuple[LesionGroup, ...]:
        """The sizes that there are, from small to large."""
        return _grouped(self.polyps, size_name, (*DIAMETERS, *BOX_SIZES))

    def by_kind(self) -> tuple[LesionGroup, ...]:
        """The Paris kinds that there are, and those that aren't known last."""
        kinds = sorted({polyp.facts.kind for polyp in self.polyps if polyp.facts.kind})
        return _grouped(self.polyps, lambda polyp: polyp.facts.kind or UNKNOWN, (*kinds, UNKNOWN))

    def to_record(self) -> dict[str, Any]:
        """What a metrics file says of it."""
        return {
            "polyps": len(self.polyps),
            "found": self.found,
            **{f"found_in_{s:g}s": self.found_within(s) for s in EARLY_SECONDS},
            "by_size": [group.to_record() for group in self.by_size()],
            "by_kind": [group.to_record() for group in self.by_kind()],
            "delay_median_s": self.delay(0.5),
            "delay_p90_s": self.delay(0.9),
            "visible_time_found": self.seen_found,
            "flicker_per_s": self.flicker,
            "false_alarms": len(self.false_alarms),
            "false_alarms_per_min": self.false_alarms_a_minute,
            "false_alarms_per_run": self.false_alarms_a_sequence,
            "false_time": self.false_time,
            "false_flicker_per_s": self.false_flicker,
        }


@dataclass(frozen=True, kw_only=True)
class FrocPoint:
    """What a threshold of the score gives: polyps found against false alarms."""

    obj_thresh: float
    found: float | None
    found_early: float | None
    """Within the longest of EARLY_SECONDS, which is what the paper draws."""
    false_alarms_a_minute: float
    false_alarms_a_sequence: float

    def to_record(self) -> dict[str, Any]:
        """An entry of `froc` in a metrics file."""
        return {
            "obj_thresh": self.obj_thresh,
            "found": self.found,
            f"found_in_{EARLY_SECONDS[-1]:g}s": self.found_early,
            "false_alarms_per_min": self.false_alarms_a_minute,
            "false_alarms_per_run": self.false_alarms_a_sequence,
        }


def size_name(polyp: PolypOutcome) -> str:
    """The name of its size, by its diameter or, where that isn't known, by its largest box."""
    diameter = polyp.facts.diameter_mm
    if diameter is not None:
        above = (diameter > DIMINUTIVE_MM) + (diameter >= LARGE_MM)
        return DIAMETERS[above]
    return BOX_SIZES[(polyp.largest_box > SMALL_BOX) + (polyp.largest_box > MIDDLE_BOX)]


def sum_up(outcomes: Sequence[SequenceOutcome]) -> LesionMetrics:
    """The metrics of sequences, of which there must be one."""
    return LesionMetrics(
        sequences=len(outcomes),
        seconds=sum(one.seconds for one in outcomes),
        polyps=tuple(polyp for one in outcomes for polyp in one.polyps),
        false_alarms=tuple(alarm for one in outcomes for alarm in one.false_alarms),
        false_seconds=sum(one.false_seconds for one in outcomes),
        false_changes=sum(one.false_changes for one in outcomes),
    )


def froc_point(obj_thresh: float, metrics: LesionMetrics) -> FrocPoint:
    """The point of the FROC curve that `metrics`, measured at `obj_thresh`, make."""
    return FrocPoint(
        obj_thresh=obj_thresh,
        found=metrics.found,
        found_early=metrics.found_within(EARLY_SECONDS[-1]),
        false_alarms_a_minute=metrics.false_alarms_a_minute,
        false_alarms_a_sequence=metrics.false_alarms_a_sequence,
    )


def _grouped(
    polyps: Sequence[PolypOutcome], name_of: Grouping, names: Sequence[str]
) -> tuple[LesionGroup, ...]:
    """The groups that have a polyp, in the order of `names`."""
    groups = {name: [p for p in polyps if name_of(p) == name] for name in names}
    return tuple(
        LesionGroup(name, len(group), sum(p.first_found is not None for p in group))
        for name, group in groups.items()
        if group
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
