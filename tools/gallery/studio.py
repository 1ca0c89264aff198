"""Takes pictures of scenes: what is rendered, small for choosing views and large for sheets."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import make_anatomy
from endoforge.sim.camera import CameraState, Pose, look_at
from endoforge.sim.engine import start_engine
from endoforge.sim.labels import PolypView, polyp_views
from endoforge.sim.lumen import Lumen
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.polyps import Polyp
from endoforge.sim.randomization import Randomization, load_randomization, parse_randomization
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.scene import Scene, make_look
from endoforge.sim.sensor import LONGEST_EXPOSURE_S

from .layout import Picture

SMALL = (192, 108)
"""Pixels of the pictures that views are chosen by."""
FOV_DEG = 140
FOV_RAD = math.radians(FOV_DEG)
SHINE = 0.35
"""Highlights of a scene in which nothing else disturbs."""
SURFACE = {"capillaries": 0.35, "mottling": 0.25, "pits": 0.2}
"""Middling strengths of the fine surface."""


@dataclass(frozen=True)
class Taken:
    """One picture with all that is known of it: `depth` (H, W) mm, `normals` (H, W, 3)."""

    rgb: Picture
    instance: NDArray[np.uint8]
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]
    views: tuple[PolypView, ...]


class Studio:
    """Takes pictures for tiles of `tile` (width, height), from twice that, on the CPU.

    `tries` is the number of views that are looked at to find one.
    """

    def __init__(self, tile: tuple[int, int] = (320, 180), tries: int = 160) -> None:
        self.tile, self.tries = tile, tries
        engine = start_engine("cpu")
        self._large = Renderer(2 * tile[0], 2 * tile[1], engine, normals=True)
        self._small = Renderer(*SMALL, engine, normals=True)

    def take(
        self, scene: Scene, states: Iterable[CameraState], *, small: bool = False
    ) -> list[Taken]:
        """The pictures of these moments, at twice the tile's size or small."""
        renderer = self._small if small else self._large
        renderer.load([scene])
        return [_taken(renderer, scene, state) for state in states]

    def tile_of(self, taken: Taken) -> Picture:
        """The picture at the size of a tile."""
        return self.fit(taken.rgb)

    def fit(self, picture: Picture) -> Picture:
        """Resized to a tile."""
        return np.asarray(cv2.resize(picture, self.tile, interpolation=cv2.INTER_AREA), np.uint8)

    def detail_of(self, taken: Taken) -> Picture:
        """The middle of the picture, pixel by pixel."""
        width, height = self.tile
        y, x = height // 2, width // 2
        return np.ascontiguousarray(taken.rgb[y : y + height, x : x + width])

    def best(
        self,
        scene: Scene,
        states: Sequence[CameraState],
        score: Callable[[Taken], float],
        tries: int | None = None,
    ) -> CameraState:
        """Of `tries` of the states, evenly spread, the one whose small picture scores highest."""
        some = spread(states, tries or self.tries)
        scores = [score(taken) for taken in self.take(scene, some, small=True)]
        return some[int(np.argmax(scores))]


def _taken(renderer: Renderer, scene: Scene, state: CameraState) -> Taken:
    frames = renderer.render([CameraShot(state, noise_seed=7)])
    assert frames.normals is not None
    return Taken(
        rgb=frames.rgb[0].numpy().copy(),
        instance=frames.instance[0].numpy().copy(),
        depth=frames.depth[0].numpy().copy(),
        normals=frames.normals[0].numpy().copy(),
        views=tuple(polyp_views(scene, state, frames.stats[0].numpy())),
    )


def spread(states: Sequence[CameraState], count: int) -> list[CameraState]:
    """At most `count` of the states, evenly spread."""
    places = np.linspace(0, len(states) - 1, min(count, len(states))).round().astype(int)
    return [states[place] for place in places]


def plain_ranges(**polyps: Any) -> Randomization:
    """A middling camera and a clean colon; keywords replace ranges of the polyps."""
    off = {"probability": 0.0, "strength": [0.0, 1.0]}
    nuisances: dict[str, Any] = {field.name: off for field in fields(Nuisances)}
    nuisances["highlights"] = {"probability": 1.0, "strength": [SHINE, SHINE]}
    camera = {
        "fov_deg": [FOV_DEG, FOV_DEG], "distortion": [0, 0], "exposure": [1, 1],
        "temperature": [0, 0], "tint": [0, 0], "saturation": [1, 1], "shot_noise": [0.004, 0.004],
        "read_noise": [0.003, 0.003], "vignette": [0.25, 0.25], "sharpening": [0.4, 0.4],
        "jpeg": off, "contrast": [0.2, 0.2], "scattered": [0.75, 0.75],
    }  # fmt: skip
    mucosa = {name: [strength, strength] for name, strength in SURFACE.items()}
    changes: dict[str, dict[str, Any]] = {
        "nuisances": nuisances,
        "camera": camera,
        "mucosa": mucosa,
        "polyps": {"like_wall": 0.0, **polyps},
    }
    plain = asdict(load_randomization("plain"))
    return parse_randomization(
        {table: {**ranges, **changes.get(table, {})} for table, ranges in plain.items()}
    )


def with_strength(scene: Scene, name: str, strength: float) -> Scene:
    """The scene with one thing at a strength, what is like it off, the same polyps.

    A nuisance, "jpeg", "contrast", "scattered", or a part of the `SURFACE`.
    """
    shown: dict[str, float] = {"highlights": SHINE}
    if name in Nuisances.__dataclass_fields__:
        shown[name] = strength
    nuisances = Nuisances(**shown)
    camera = replace(
        scene.camera,
        exposure_s=LONGEST_EXPOSURE_S * nuisances.motion_blur,
        defocus=nuisances.defocus,
        haze=nuisances.haze,
        narrow_band=nuisances.narrow_band,
        jpeg=strength if name == "jpeg" else 0.0,
        contrast=strength if name == "contrast" else scene.camera.contrast,
    )
    look = make_look(scene.seed, scene.ranges, nuisances)
    if name in SURFACE:
        surface: dict[str, Any] = {**dict.fromkeys(SURFACE, 0.0), name: strength}
        look = replace(look, **surface)
    if name == "scattered":
        look = replace(look, scattered=strength)
    return replace(
        scene,
        nuisances=nuisances,
        camera=camera,
        anatomy=make_anatomy(scene.seed, scene.ranges.anatomy, nuisances),
        look=look,
    )


def at_rest(pose: Pose) -> CameraState:
    """The camera standing still there."""
    return CameraState(0.0, pose, np.zeros(3), np.zeros(3), pose)


def ahead(lumen: Lumen, s_mm: float, ahead_mm: float) -> CameraState:
    """The camera on its lane at `s_mm`, looking at the lane so far ahead."""
    (here, there) = _on_lane(lumen, s_mm), _on_lane(lumen, s_mm + ahead_mm)
    return at_rest(look_at(here, there, lumen.frames(np.array([s_mm]))[0, 1], s_mm))


def facing(lumen: Lumen, s_mm: float, target: NDArray[np.float64]) -> CameraState:
    """The camera on its lane at `s_mm`, looking at a world position."""
    here = _on_lane(lumen, s_mm)
    return at_rest(look_at(here, target, lumen.frames(np.array([s_mm]))[0, 1], s_mm))


def _on_lane(lumen: Lumen, s_mm: float) -> NDArray[np.float64]:
    place = np.array([s_mm])
    position: NDArray[np.float64] = lumen.to_world(place, lumen.lane_at(place))[0]
    return position


def views_of(
    lumen: Lumen, polyp: Polyp, distance_mm: float, rng: np.random.Generator, tries: int = 24
) -> list[CameraState]:
    """Clear views of a polyp from so far away, more from aside than from above, upright."""
    centre, axis = np.asarray(polyp.centre), np.asarray(polyp.axis)
    aim = centre + 0.25 * (np.asarray(polyp.base) - centre)
    target_s, target_xy = lumen.from_world(centre, polyp.s_mm)
    states = []
    for lift in rng.uniform(0.1, 0.75, tries):
        aside = np.cross(axis, rng.normal(size=3))
        aside /= np.linalg.norm(aside)
        position = aim + distance_mm * (math.sin(lift) * axis + math.cos(lift) * aside)
        s_mm, xy_mm = lumen.from_world(position, polyp.s_mm)
        place = np.array([s_mm]), xy_mm[None]
        if lumen.gap(*place)[0] > 0 and lumen.in_sight(*place, target_s, target_xy)[0]:
            states.append(at_rest(look_at(position, aim, -axis, s_mm)))
    return states
