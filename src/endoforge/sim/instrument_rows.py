"""Instruments and marks as the kernels read them: INSTRUMENT_ROWS rows of four for each frame.

All positions and directions are in the world's axes, in mm from the lens.

0, 1           cones about the tool and about the clips: unit axis | cosine of half its angle
COUNT_ROW      number of capsules of the tool, of the clips, of the jet | of marks
CAP_ROW        cap: strength, 0 none | inner radius | height in mm | fog; then its axis right |
               down in mm | rim | veil
MATERIAL_ROW   colours of capsules: linear RGB | 0 plastic, 1 metal, 2 wound of wire
PART_ROW       two rows a capsule: start | radius; end | place of its material
MARK_ROW       four rows a mark: middle | radius; colour | amount; rim's colour | its amount;
               softness | mottle | star | turn
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.centreline import Centreline
from endoforge.sim.instruments import (
    CAP_ROW,
    COUNT_ROW,
    INSTRUMENT_ROWS,
    MARK_ROW,
    MATERIAL_ROW,
    MOST_MARKS,
    PART_ROW,
    Cap,
    Instruments,
    Shaft,
    Tool,
)
from endoforge.sim.polyps import MAX_POLYPS, polyp_shifts, swells
from endoforge.sim.retroflexion import shaft_capsules
from endoforge.sim.scene import Scene
from endoforge.sim.tool_shapes import (
    CLIP,
    METAL,
    SHEATH,
    TIP,
    AimedPolyp,
    Capsule,
    jet_capsules,
    tool_capsules,
)
from endoforge.sim.treatment import HaemoClip

Array = NDArray[np.float64]
IN_SIGHT_MM = 70.0
"""Marks and clips farther off than this, beyond their own size, aren't drawn."""
MOST_CLIPS = 3
NEAR_MM, NEAR_WIDTH_MM = 55.0, 15.0
"""A tool comes out near a polyp that is no farther off than this; over that width less so."""
AHEAD_COSINE, AHEAD_WIDTH = 0.64, 0.12
"""The same by the cosine of its angle off the way ahead."""
INSPECTING, BETWEEN = 0.9, 0.2
"""Shares of the time for which a tool of strength 1 is out, near a polyp and elsewhere."""
LEAST_OUT = 0.04
"""A tool that is out no further than this hasn't left the channel."""


@dataclass(frozen=True, eq=False)
class Carried:
    """What instruments and marks of a scene are in the kernels' numbers, at rest.

    `held` (MAX_POLYPS,) is 1 for polyps that a tool may be for: one around the lumen is none.
    `mark_rows` (M, 4, 4); the capsules of C clips about their `clip_feet` (C, 3) mm, and their
    colours `clip_metal` (C, 3); how peristalsis carries both, (., 5) as of `polyps.swells`.
    """

    instruments: Instruments
    line: Centreline
    held: Array
    mark_rows: Array
    mark_swells: Array
    clips: list[list[Capsule]]
    clip_feet: Array
    clip_swells: Array
    clip_metal: Array

    @staticmethod
    def of(scene: Scene) -> "Carried | None":
        """Those of a scene, or None if it has none."""
        things, treated = scene.instruments, scene.treatment
        if things == Instruments() and not treated.marks and not treated.clips:
            return None
        marks = [
            [
                [*m.centre, m.radius_mm],
                [*m.colour, m.amount],
                [*m.rim, m.rim_amount],
                [m.softness, m.mottle, m.star, m.turn],
            ]
            for m in treated.marks
        ]
        held = np.ones(MAX_POLYPS)
        held[: len(scene.polyps)] = [polyp.band is None for polyp in scene.polyps]
        return Carried(
            instruments=things,
            line=scene.anatomy.centreline,
            held=held,
            mark_rows=np.array(marks).reshape(-1, 4, 4),
            mark_swells=swells(treated.marks, scene.anatomy),
            clips=[_clip_capsules(clip) for clip in treated.clips],
            clip_feet=np.array([clip.foot for clip in treated.clips]).reshape(-1, 3),
            clip_swells=swells(treated.clips, scene.anatomy),
            clip_metal=np.array([clip.colour for clip in treated.clips]).reshape(-1, 3),
        )

    def rows(
        self, cameras: NDArray[np.float32], polyps: NDArray[np.float32], times_s: Array
    ) -> Array:
        """Make the rows (N, INSTRUMENT_ROWS, 4) of N frames of this scene.

        `cameras` (N, CAMERA_ROWS, 4) say where the scope is, `polyps` (N, MAX_POLYPS,
        POLYP_COLUMNS) where peristalsis has carried them at `times_s` (N,).
        """
        eyes, axes = cameras[:, 0, :3].astype(float), cameras[:, 1:4, :3].astype(float)
        rows = np.zeros((len(cameras), INSTRUMENT_ROWS, 4))
        self._write_marks(rows, eyes, times_s)
        self._write_parts(rows, eyes, axes, polyps, times_s)
        self._write_shaft(rows, eyes, axes[:, 2], cameras[:, 0, 3].astype(float))
        if self.instruments.cap is not None:
            rows[:, CAP_ROW : CAP_ROW + 2] = _cap_rows(self.instruments.cap)
        return rows

    def _write_marks(self, rows: Array, eyes: Array, times_s: Array) -> None:
        if not len(self.mark_rows):
            return
        shifts = polyp_shifts(self.mark_swells[None], times_s)
        places = self.mark_rows[None, :, 0, :3] + shifts - eyes[:, None]
        away = np.linalg.norm(places, axis=2) - self.mark_rows[:, 0, 3]
        nearest = np.argsort(away, axis=1, kind="stable")[:, :MOST_MARKS]
        for frame, order in enumerate(nearest):
            seen = [mark for mark in order.tolist() if away[frame, mark] < IN_SIGHT_MM]
            for place, mark in enumerate(seen):
                first = MARK_ROW + 4 * place
                rows[frame, first : first + 4] = self.mark_rows[mark]
                rows[frame, first, :3] = places[frame, mark]
            rows[frame, COUNT_ROW, 3] = len(seen)

    def _write_parts(
        self,
        rows: Array,
        eyes: Array,
        axes: Array,
        polyps: NDArray[np.float32],
        times_s: Array,
    ) -> None:
        tools, jet = self.instruments.tools, self.instruments.jet
        if not (tools or jet or self.clips):
            return
        places = np.einsum("nij,nkj->nki", axes, polyps[:, :, :3] - eyes[:, None])
        near = _near(places) * self.held
        shares = BETWEEN + (INSPECTING - BETWEEN) * near.max(axis=1)
        outs = np.array([tool.rhythm.out(times_s, tool.share * shares) for tool in tools])
        runs = (
            np.zeros(len(rows)) if jet is None else jet.rhythm.out(times_s, 0 * shares + jet.share)
        )
        for frame, (row, eye, to_camera) in enumerate(zip(rows, eyes, axes, strict=True)):
            groups: list[list[Capsule]] = [[], self._clips_near(row, eye, times_s[frame]), []]
            # A channel holds one tool: the one that is furthest out.
            if tools and outs[:, frame].max() > LEAST_OUT:
                best = int(outs[:, frame].argmax())
                target = _target(near[frame], places[frame], polyps[frame], to_camera)
                capsules = tool_capsules(tools[best], float(outs[best, frame]), target)
                groups[0] = _in_world(capsules, to_camera)
                _write_materials(row, tools[best])
            if jet is not None and runs[frame] > 0.5:
                groups[2] = _in_world(jet_capsules(jet), to_camera)
            _write_groups(row, groups)

    def _write_shaft(self, rows: Array, eyes: Array, forward: Array, s_mm: Array) -> None:
        """Put the shaft in the place of a tool, which isn't out while the tip looks back."""
        shaft = self.instruments.shaft
        if shaft is None:
            return
        for frame, row in enumerate(rows):
            place = float(s_mm[frame])
            capsules = shaft_capsules(shaft, self.line, eyes[frame], forward[frame], place)
            if capsules:
                clips = _capsules_of(row, 1)
                _write_shaft_materials(row, shaft)
                _write_groups(row, [capsules, clips, []])

    def _clips_near(self, row: Array, eye: Array, time_s: float) -> list[Capsule]:
        if not self.clips:
            return []
        feet = self.clip_feet + polyp_shifts(self.clip_swells, time_s)
        away = np.linalg.norm(feet - eye, axis=1)
        order = [k for k in np.argsort(away, kind="stable").tolist() if away[k] < IN_SIGHT_MM]
        near = order[:MOST_CLIPS]
        if near:
            row[MATERIAL_ROW + CLIP] = [*self.clip_metal[near[0]], 1.0]
        return [
            Capsule(c.start + feet[k] - eye, c.end + feet[k] - eye, c.radius_mm, c.material)
            for k in near
            for c in self.clips[k]
        ]


def _near(places: Array) -> Array:
    """How near each polyp (N, P) is to where tools work, 0..1, by its place in camera axes."""
    distance = np.linalg.norm(places, axis=2)
    close = np.clip((NEAR_MM - distance) / NEAR_WIDTH_MM, 0, 1)
    ahead = (places[:, :, 2] / np.maximum(distance, 1e-6) - AHEAD_COSINE) / AHEAD_WIDTH
    return np.asarray(close * np.clip(ahead, 0, 1))


def _target(
    near: Array, places: Array, polyps: NDArray[np.float32], axes: Array
) -> AimedPolyp | None:
    best = int(near.argmax())
    if near[best] < 0.5:
        return None
    row = polyps[best]
    return AimedPolyp(places[best], axes @ row[4:7], float(row[7]), float(row[3]))


def _in_world(capsules: list[Capsule], axes: Array) -> list[Capsule]:
    return [Capsule(c.start @ axes, c.end @ axes, c.radius_mm, c.material) for c in capsules]


def _clip_capsules(clip: HaemoClip) -> list[Capsule]:
    """A clip whose foot is the origin: its body, and two jaws that hold a fold of mucosa."""
    axis, across = np.array(clip.axis), np.array(clip.across)
    neck = 3.2 * axis
    body = Capsule(neck, clip.length_mm * axis, 0.6, CLIP)
    jaws = [Capsule(neck, side * 1.3 * across - 0.2 * axis, 0.33, CLIP) for side in (-1.0, 1.0)]
    return [body, *jaws]


def _write_materials(row: Array, tool: Tool) -> None:
    row[MATERIAL_ROW + SHEATH] = [*tool.sheath, 2.0 if tool.coil else 0.0]
    row[MATERIAL_ROW + TIP] = [*tool.tip, 0.0]
    row[MATERIAL_ROW + METAL] = [0.48, 0.48, 0.50, 1.0]


def _write_shaft_materials(row: Array, shaft: Shaft) -> None:
    row[MATERIAL_ROW + SHEATH] = [*shaft.colour, 0.0]
    row[MATERIAL_ROW + TIP] = [0.85, 0.85, 0.82, 0.0]


def _capsules_of(row: Array, group: int) -> list[Capsule]:
    """The capsules of one group that a frame's rows hold."""
    first = PART_ROW + 2 * int(row[COUNT_ROW, :group].sum())
    parts = row[first : first + 2 * int(row[COUNT_ROW, group])].reshape(-1, 2, 4)
    return [Capsule(a[:3], b[:3], float(a[3]), int(b[3])) for a, b in parts.copy()]


def _write_groups(row: Array, groups: list[list[Capsule]]) -> None:
    first = PART_ROW
    for place, group in enumerate(groups):
        if group and place < COUNT_ROW:  # a jet has no cone: its splash is wider
            row[place] = bounding_cone(group)
        row[COUNT_ROW, place] = len(group)
        for capsule in group:
            row[first] = [*capsule.start, capsule.radius_mm]
            row[first + 1] = [*capsule.end, capsule.material]
            first += 2


def bounding_cone(capsules: list[Capsule]) -> Array:
    """The unit axis (3,) and the cosine of half the angle of a cone from the lens about capsules.

    A cone of less than a half-space is convex: one that holds the balls at both ends holds all
    that is between them.
    """
    ends = np.array([point for c in capsules for point in (c.start, c.end)])
    radii = np.array([c.radius_mm for c in capsules for _ in range(2)])
    far = np.maximum(np.linalg.norm(ends, axis=1), 1e-6)
    ways = ends / far[:, None]
    axis = ways.sum(axis=0)
    axis = axis / max(float(np.linalg.norm(axis)), 1e-6)
    angles = np.arccos(np.clip(ways @ axis, -1, 1)) + np.arcsin(np.clip(radii / far, 0, 1))
    widest = float(angles.max())
    return np.array([*axis, np.cos(widest) - 1e-4 if widest < 1.5 else -1.0])


def _cap_rows(cap: Cap) -> Array:
    return np.array(
        [
            [cap.strength, cap.radius_mm, cap.height_mm, cap.fog],
            [*cap.axis, cap.rim, cap.veil],
        ]
    )
