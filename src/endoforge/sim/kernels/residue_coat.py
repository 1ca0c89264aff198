"""Soft residue on the wall: films and clumps of stool, mucus, and more or less clear fluid."""

import quadrants as qd

from endoforge.sim import residue
from endoforge.sim.kernels.types import LOOK_ROWS, SceneArrays, vec3

FILM, MUCUS = residue.FILM, residue.MUCUS


@qd.func
def residue_over(scenes: SceneArrays, scene, bare, coat, grain):
    """Lay soft residue on a bare albedo; returns (albedo, bump factor, gloss factor).

    `grain` is the detail's tone. A film gives what is below it its own hue; clumps, mucus and
    turbid fluid hide it.
    """
    albedo = bare
    rough = 1.0
    wet = 1.0
    mucosa = scenes.looks[scene * LOOK_ROWS].xyz
    if coat.z > 0.0:
        stool = scenes.looks[scene * LOOK_ROWS + 3].xyz
        film = qd.min(coat.z * (1.0 / FILM), 1.0) * qd.math.clamp(0.8 + 0.6 * grain, 0.0, 1.0)
        albedo *= 1.0 + (hue(stool, mucosa) - 1.0) * (0.85 * film)
        # Not all clumps of a bowel are alike: they differ with the patches of its wall.
        other = qd.math.clamp(0.5 * coat.y, -0.4, 0.4)
        clump = stool * (1.0 + 0.5 * grain)
        clump *= vec3(1.0 + 0.3 * other, 1.0 + other, 1.0 + 0.5 * other)
        there = qd.math.clamp((coat.z - FILM - 0.04 + 0.12 * grain) * 5.0, 0.0, 1.0)
        albedo += (clump - albedo) * there
        rough += 0.9 * there
        wet += 0.3 * film - 0.5 * there
    elif coat.z < -MUCUS:
        row = scenes.looks[scene * LOOK_ROWS + 4]
        depth = -coat.z - MUCUS
        albedo *= 1.0 + (hue(row.xyz, mucosa) - 1.0) * qd.min(0.5 + 1.5 * depth, 1.0)
        albedo += (row.xyz - albedo) * (qd.min(0.3 + 0.8 * depth, 1.0) * (1.0 - row.w))
        rough = 0.12
        wet = 1.6
    else:
        there = qd.min(-1.3 / MUCUS * coat.z, 0.8) * qd.math.clamp(0.9 + 0.8 * grain, 0.0, 1.0)
        albedo += (vec3(0.92, 0.62, 0.42) - albedo) * there
        rough = 1.0 - 0.5 * there
        wet = 1.0 + there
    return albedo, rough, wet


@qd.func
def hue(colour, mucosa):
    """Give what a thin layer of that colour leaves of the light, mucosa being what is below it."""
    share = colour / mucosa
    most = qd.max(qd.max(share.x, share.y), qd.max(share.z, 1e-3))
    return 0.25 + share * (0.75 / most)
