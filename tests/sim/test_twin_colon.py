"""The render kernels against their slow twin in a colon with all that its wall may have."""

from dataclasses import replace

import numpy as np
import pytest

from endoforge.sim.camera import look_at
from endoforge.sim.engine import Engine
from endoforge.sim.lookalikes import NO_LOOKALIKES
from endoforge.sim.lumen import Lumen
from endoforge.sim.ranges.values import Nuisance
from endoforge.sim.renderer import Renderer
from endoforge.sim.scene import Scene, make_scene
from tests.plain_ranges import PLAIN
from tests.sim.moments import HEIGHT, WIDTH, Moment
from tests.sim.reference import Reference
from tests.sim.scenes import still, without_overlay
from tests.sim.test_twin import check

pytestmark = pytest.mark.slow
ALWAYS = Nuisance(probability=1.0, strength=(1.0, 1.0))


def full_scene(seed: int) -> Scene:
    plain = PLAIN
    ranges = replace(
        plain,
        anatomy=replace(
            plain.anatomy,
            fold_spacing_mm=(10.0, 20.0),
            fold_thickness=(1.5, 2.0),
            fold_roundness=(0.8, 0.8),
            extra_folds=(0.6, 0.6),
            wrinkles=(0.6, 0.6),
            collapse=(0.5, 0.5),
        ),
        nuisances=replace(plain.nuisances, stool=ALWAYS),
        lookalikes=replace(
            PLAIN.lookalikes, **dict.fromkeys(NO_LOOKALIKES.__dataclass_fields__, ALWAYS)
        ),
        residue=replace(PLAIN.residue, soft=1.0, bile=ALWAYS, mucus=ALWAYS),
    )
    return without_overlay(make_scene(seed, ranges))


@pytest.mark.parametrize("seed", [2, 6])
def test_a_colon_with_all_of_it_matches_the_twin(cpu: Engine, seed: int) -> None:
    """From the lane, towards a polyp: what stands before it hides it from both alike."""
    scene = full_scene(seed)
    lumen = Lumen(scene)
    polyp = scene.polyps[0]
    place = np.array([polyp.s_mm - 25.0])
    here = lumen.to_world(place, lumen.lane_at(place))[0]
    state = still(look_at(here, np.asarray(polyp.centre), np.array([0.1, 1.0, 0.2]), place[0]))
    truth = Reference(scene, state.time_s).render(state.pose, scene.lens(WIDTH, HEIGHT))
    check(Renderer(WIDTH, HEIGHT, cpu), Moment(scene, state, truth))
