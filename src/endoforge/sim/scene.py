"""A scene: everything about one simulated colonoscopy, and the tables that the kernels read."""

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import Anatomy, make_anatomy
from endoforge.sim.centreline import NUM_ALONG, SEGMENTS
from endoforge.sim.deposits import Deposits
from endoforge.sim.display import (
    NO_DISPLAY,
    NO_RECORDER,
    Display,
    Recorder,
    make_display,
    make_recording,
)
from endoforge.sim.encircling import with_masses
from endoforge.sim.growth import make_polyps
from endoforge.sim.instruments import Instruments, make_instruments, make_strengths
from endoforge.sim.light import make_light_settings
from endoforge.sim.lookalikes import make_lookalikes
from endoforge.sim.nuisances import Nuisances, make_nuisances
from endoforge.sim.optics import Lens, ray_table
from endoforge.sim.polyp_surface import draw_surfaces
from endoforge.sim.polyps import Polyp, swells
from endoforge.sim.randomization import Randomization
from endoforge.sim.ranges.values import draw
from endoforge.sim.residue import MUCUS, Residue, beside, make_residue
from endoforge.sim.screen import Screen, make_screen
from endoforge.sim.sensor import CameraSettings, make_camera_settings, with_plausible_colours
from endoforge.sim.streams import Stream, stream
from endoforge.sim.texture import TILE_MM
from endoforge.sim.tissue import Tissue, draw_tissue, tissue_table
from endoforge.sim.treatment import Treatment, treat
from endoforge.sim.wall import NUM_AROUND, Grid, patches

FLUID_MM = 7.0
"""Fluid of this depth hides what is under it."""
COAT_STEP = 2
"""The coat's table has every second row and column of the wall's."""
SHORE = 3.0
"""Samples of the wall's table over which a pool's edge goes from dry to wet."""
SHALLOW = 0.1
"""The depth, in FLUID_MM, that a pool shows at its edge."""


_PLAIN_TISSUE = Tissue()


@dataclass(frozen=True)
class Look:
    """How a colon's mucosa looks.

    `mucosa` linear RGB albedo; `vessels` strength of the vascular pattern, 0..1; `tone` patchiness
    of the colour; `gloss` of the wet surface; `bump` roughness; `turn_u`, `turn_v` shift the
    texture, so that no two colons carry the same vessels in the same place; `stool` linear RGB.
    `capillaries`, `mottling` and `pits` are strengths 0..1 of the fine surface, which repeats after
    `surface_repeat_mm` and is shifted by `surface_turn`; `scattered` the share of the light that
    walls pass on; `tissue` how it differs from place to place. `soft_residue` is 1 where residue is
    soft, else 0; then the fluid's linear RGB is `fluid`, and its `clarity` 0..1.
    """

    mucosa: tuple[float, float, float]
    vessels: float
    tone: float
    gloss: float
    bump: float
    turn_u: float
    turn_v: float
    stool: tuple[float, float, float]
    capillaries: float
    mottling: float
    pits: float
    surface_repeat_mm: float
    surface_turn: tuple[float, float]
    scattered: float
    soft_residue: float = 0.0
    fluid: tuple[float, float, float] = (0.0, 0.0, 0.0)
    clarity: float = 0.0
    tissue: Tissue = _PLAIN_TISSUE


@dataclass(frozen=True)
class SceneTables:
    """The float32 tables of one scene, shaped (rows, 4): see `kernels.types.SceneArrays`."""

    centreline: NDArray[np.float32]
    wall: NDArray[np.float32]
    coat: NDArray[np.float32]
    looks: NDArray[np.float32]
    tissue: NDArray[np.float32]


@dataclass(frozen=True)
class Optics:
    """How frames of one size are seen: the screen, the lens, and its `optics.ray_table`."""

    screen: Screen
    lens: Lens
    rays: NDArray[np.float32]
    widest_tile: float


@dataclass(frozen=True)
class Scene:
    """One colon with its polyps, and the camera that goes through it."""

    seed: int
    ranges: Randomization
    anatomy: Anatomy
    polyps: tuple[Polyp, ...]
    look: Look
    nuisances: Nuisances
    camera: CameraSettings
    display: Display = NO_DISPLAY
    recording: Recorder = NO_RECORDER
    instruments: Instruments = field(default_factory=Instruments)
    treatment: Treatment = field(default_factory=Treatment)

    def screen(self, width: int, height: int) -> Screen:
        """The screen, which the video processor draws on frames of this size."""
        return self.optics(width, height).screen

    def lens(self, width: int, height: int) -> Lens:
        """The run's lens for frames of this size: its picture fills the screen's window."""
        return self.optics(width, height).lens

    def optics(self, width: int, height: int) -> Optics:
        """The screen and lens for frames of this size, made when first asked for."""
        if (width, height) not in self._optics:
            screen = make_screen(self.seed, self.nuisances.overlay, width, height, self.display)
            stretch = self.display.stretch
            fov_deg, k1 = self.camera.fov_deg, self.camera.k1
            lens = Lens(width, height, fov_deg, k1, screen.window, stretch)
            self._optics[width, height] = Optics(screen, lens, *ray_table(lens))
        return self._optics[width, height]

    @cached_property
    def _optics(self) -> dict[tuple[int, int], Optics]:
        return {}

    @cached_property
    def swells(self) -> NDArray[np.float64]:
        """The `polyps.swells` of its polyps: how peristalsis carries them."""
        return swells(self.polyps, self.anatomy)

    @cached_property
    def tables(self) -> SceneTables:
        """The tables that the kernels read of it, made when first asked for."""
        return SceneTables(
            centreline=self.anatomy.shell.centreline,
            wall=self.anatomy.shell.wall,
            coat=_coat_table(self),
            looks=_look_rows(self.look, self.anatomy.deposits, len(self.camera.lamps)),
            tissue=tissue_table(self.seed, self.look.tissue, self.anatomy),
        )

    def parameters(self) -> dict[str, Any]:
        """What the manifest keeps of the scene; the tables follow from seed and ranges."""
        return {
            "seed": self.seed,
            "length_mm": self.anatomy.length_mm,
            "segment_ends_mm": dict(zip(SEGMENTS, self.anatomy.segment_ends.tolist(), strict=True)),
            "peristalsis": self.anatomy.peristalsis,
            "look": asdict(self.look),
            "nuisances": asdict(self.nuisances),
            "lookalikes": asdict(make_lookalikes(self.seed, self.ranges.lookalikes)),
            "residue": asdict(make_residue(self.seed, self.ranges.residue)),
            "camera": asdict(self.camera),
            "display": asdict(self.display),
            "recording": asdict(self.recording),
            "polyps": [asdict(polyp) for polyp in self.polyps],
            "instruments": asdict(self.instruments),
            "treatment": asdict(self.treatment),
        }


_DEFAULT = Randomization()


def make_scene(seed: int, ranges: Randomization = _DEFAULT) -> Scene:
    """Make the scene of a seed (any integer from 0): same seed and ranges, same scene."""
    nuisances = make_nuisances(seed, ranges.nuisances)
    anatomy = make_anatomy(
        seed,
        ranges.anatomy,
        nuisances,
        make_lookalikes(seed, ranges.lookalikes),
        make_residue(seed, ranges.residue),
    )
    strengths = make_strengths(seed, ranges.instruments)
    # After the polyps, for much of it is done to them: none grows elsewhere because of it.
    polyps = make_polyps(seed, anatomy, ranges.polyps)
    anatomy = with_masses(anatomy, polyps)
    anatomy, polyps, treatment = treat(seed, strengths, anatomy, polyps)
    surfaces = draw_surfaces(seed, len(polyps), ranges.polyp_surface)
    light = make_light_settings(seed, ranges.light, ranges.camera, ranges.lens)
    look = make_look(seed, ranges, nuisances)
    camera = make_camera_settings(seed, ranges.camera, nuisances, light)
    return Scene(
        seed=seed,
        ranges=ranges,
        anatomy=anatomy,
        polyps=tuple(
            replace(polyp, surface=surface) for polyp, surface in zip(polyps, surfaces, strict=True)
        ),
        look=look,
        nuisances=nuisances,
        display=make_display(seed, ranges.screen),
        recording=make_recording(seed, ranges.recording),
        instruments=make_instruments(seed, strengths, ranges.motion.retroflexion),
        treatment=treatment,
        camera=with_plausible_colours(camera, look.mucosa),
    )


def make_look(seed: int, ranges: Randomization, nuisances: Nuisances) -> Look:
    """Draw the look of a seed's colon: pale pink to salmon and orange, matt to very wet."""
    rng, fine = stream(seed, Stream.APPEARANCE), stream(seed, Stream.SURFACE)
    mucosa = ranges.mucosa
    red = draw(rng, mucosa.red)
    green = red * draw(rng, mucosa.green_of_red)
    brown = rng.uniform(0.16, 0.5)
    look = Look(
        mucosa=(red, green, green * draw(rng, mucosa.blue_of_green)),
        vessels=draw(rng, mucosa.vessels),
        tone=draw(rng, mucosa.tone),
        gloss=0.9 * nuisances.highlights,
        bump=draw(rng, mucosa.bump),
        turn_u=rng.uniform(0, 1),
        turn_v=rng.uniform(0, 1),
        stool=(brown, brown * rng.uniform(0.52, 0.74), brown * rng.uniform(0.08, 0.22)),
        capillaries=draw(fine, mucosa.capillaries),
        mottling=draw(fine, mucosa.mottling),
        pits=draw(fine, mucosa.pits),
        surface_repeat_mm=draw(fine, mucosa.surface_repeat_mm),
        surface_turn=(fine.uniform(0, 1), fine.uniform(0, 1)),
        scattered=draw(fine, ranges.camera.scattered),
        tissue=draw_tissue(seed, mucosa),
    )
    residue = make_residue(seed, ranges.residue)
    return _with_residue(look, residue) if residue.soft else look


def _with_residue(look: Look, residue: Residue) -> Look:
    return replace(
        look,
        soft_residue=1.0,
        stool=beside(look.mucosa, residue.stool_colour),
        fluid=beside(look.mucosa, residue.fluid_colour),
        clarity=residue.clarity,
    )


def _look_rows(look: Look, deposits: Deposits, num_lamps: int) -> NDArray[np.float32]:
    """The (9, 4) float32 of `kernels.types.SceneArrays.looks`, but for what the lens says."""
    fluid = look.fluid if look.soft_residue else deposits.fluid_colour
    dye_in_pits = look.tissue.dye_in_pits * deposits.in_grooves
    tissue, repeats = look.tissue, TILE_MM / look.surface_repeat_mm
    if tissue.branching:
        # A whole number around the colon: vessels would end in mid-air where it closes.
        repeats = max(round(4 * repeats), 1) / 4
    rows = [
        [*look.mucosa, look.vessels],
        [look.tone, look.gloss, look.bump, 0.0],
        [look.turn_u, look.turn_v, num_lamps, 0.0],
        [*look.stool, look.soft_residue],
        [*fluid, look.clarity],
        [*deposits.stain_colour, 0.0],
        [look.capillaries, look.mottling, look.pits, repeats],
        [*look.surface_turn, look.scattered, 0.0],
        [(not tissue.is_plain) + tissue.differs, tissue.branching, tissue.hue, dye_in_pits],
    ]
    return np.array(rows, np.float32)


def _coat_table(scene: Scene) -> NDArray[np.float32]:
    """The crevice, tone, cover and stain on every second sample of the wall.

    Crevice is the radius less its mean over about 7 mm: deep places get less of the scattered
    light. Cover is stool from 0 to 1; below -MUCUS it is fluid, up to FLUID_MM deep, and between
    the two mucus, if residue is soft. Stain is 0..1; below 0 it is foam. Blush counts as tone,
    whatever its strength.
    """
    deposits, size = scene.anatomy.deposits, (NUM_AROUND // COAT_STEP, NUM_ALONG // COAT_STEP)
    rng = stream(scene.seed, Stream.TONE)
    coarse = cv2.resize(scene.anatomy.radius, size, interpolation=cv2.INTER_AREA)
    crevice = _crevice(np.asarray(coarse, np.float32))
    tone = 0.6 * patches(rng, 28.0, 32.0) + 0.4 * patches(rng, 9.0, 10.0)
    if scene.anatomy.blush.any():
        # 0.9 as in `kernels.shading.mucosa_albedo`.
        tone += scene.anatomy.blush / np.float32(0.9 * max(scene.look.tone, 0.02))
    wet, depth = _wetness(deposits)
    dry = deposits.stool
    if scene.look.soft_residue:
        dry = dry - MUCUS * deposits.mucus
    cover = dry + wet * (-MUCUS - dry) - depth
    stain = np.where(deposits.foam > 0, -deposits.foam, deposits.stain)
    fine = [cv2.resize(grid, size, interpolation=cv2.INTER_AREA) for grid in (tone, cover, stain)]
    grooves = np.clip(0.3 + 0.35 * crevice, 0, 1) if deposits.in_grooves else 1.0
    # What lies in the finest pits is wherever these are.
    grooves = grooves + (1 - grooves) * scene.look.tissue.dye_in_pits
    fine[2] = np.where(fine[2] > 0, fine[2] * grooves, fine[2])
    return np.stack([crevice, *fine], axis=-1).astype(np.float32).reshape(-1, 4)


def _wetness(deposits: Deposits) -> tuple[Grid, Grid]:
    """How wet each place is, 1 from the shore of a pool on, and how deep (of FLUID_MM, at most 1).

    Across a shore wetness and depth rise evenly, over SHORE samples to each side. They are read
    between coarse samples, where a step would show as teeth.
    """
    under = np.where(deposits.fluid > 0, deposits.fluid, deposits.shore)
    wrapped = np.concatenate([under[:, -1:], under, under[:, :1]], axis=1)
    along, around = np.gradient(wrapped)
    steepness = np.hypot(along, around)[:, 1:-1]
    samples = under / np.maximum(steepness, 1e-3)
    wet = np.clip(1 + samples / SHORE, 0, 1)
    shallow = SHALLOW * np.clip(samples / SHORE, 0, 1)
    depth = np.maximum(np.minimum(deposits.fluid / FLUID_MM, 1), shallow)
    return np.asarray(wet, np.float32), np.asarray(depth, np.float32)


def _crevice(radius: Grid) -> Grid:
    pad = 24
    wrapped = np.concatenate([radius[:, -pad:], radius, radius[:, :pad]], axis=1)
    blurred = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=5, sigmaY=4)[:, pad:-pad]
    return np.asarray(radius - blurred, np.float32)
