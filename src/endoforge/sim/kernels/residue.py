"""Soft residue on the wall: films and clumps of stool, mucus, and more or less clear fluid."""

import quadrants as qd

from endoforge.sim import residue
from endoforge.sim.kernels.types import LOOK_ROWS, SceneArrays, vec3

FILM = residue.FILM


@qd.func
def residue_over(scenes: SceneArrays, scene, mucosa, coat, grain):
    """Lay soft residue on the mucosa; returns (albedo, bump factor, gloss factor).

    `grain` is the detail's tone. A film multiplies what is below it by its own hue; clumps, mucus
    and turbid fluid hide it.
    """
    albedo = mucosa
    rough = 1.0
    wet = 1.0
    if coat.z > 1.0:
        row = scenes.looks[scene * LOOK_ROWS + 4]
        fluid = row.xyz
        depth = coat.z - 1.0
        tint = hue(fluid)
        albedo *= 1.0 + (tint - 1.0) * qd.min(0.5 + 1.5 * depth, 1.0)
        albedo += (fluid - albedo) * qd.min(0.3 + 0.8 * depth, 1.0) * (1.0 - row.w)
        rough = 0.12
        wet = 1.6
    elif coat.z > 0.0:
        stool = scenes.looks[scene * LOOK_ROWS + 3].xyz
        film = qd.min(coat.z * (1.0 / FILM), 1.0) * qd.math.clamp(0.8 + 0.6 * grain, 0.0, 1.0)
        albedo *= 1.0 + (hue(stool) - 1.0) * (0.85 * film)
        # Not all clumps of a bowel are alike: they differ with the patches of its wall.
        other = qd.math.clamp(0.5 * coat.y, -0.4, 0.4)
        clump = (
            stool * (1.0 + 0.5 * grain) * vec3(1.0 + 0.3 * other, 1.0 + other, 1.0 + 0.5 * other)
        )
        there = qd.math.clamp((coat.z - FILM - 0.04 + 0.12 * grain) * 5.0, 0.0, 1.0)
        albedo += (clump - albedo) * there
        rough += 0.9 * there
        wet += 0.3 * film - 0.5 * there
    else:
        there = qd.min(-1.3 * coat.z, 0.8) * qd.math.clamp(0.9 + 0.8 * grain, 0.0, 1.0)
        albedo += (vec3(0.74, 0.55, 0.40) - albedo) * there
        rough = 1.0 - 0.5 * there
        wet = 1.0 + there
    return albedo, rough, wet


@qd.func
def hue(colour):
    """The colour of a thin layer of something: its own, at full brightness, half as strong."""
    most = qd.max(qd.max(colour.x, colour.y), qd.max(colour.z, 1e-3))
    return 0.25 + colour * (0.75 / most)
