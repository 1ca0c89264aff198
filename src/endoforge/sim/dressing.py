"""One colon in the looks of several: what of a scene is its look, drawn anew."""

from dataclasses import replace

from endoforge.sim.display import make_display, make_recording
from endoforge.sim.growth import appearance
from endoforge.sim.light import make_light_settings
from endoforge.sim.nuisances import make_nuisances
from endoforge.sim.polyp_surface import draw_surfaces
from endoforge.sim.scene import Scene, make_look
from endoforge.sim.sensor import make_camera_settings, with_plausible_colours
from endoforge.sim.streams import Stream, stream

OF_THE_CAMERA = ("highlights", "defocus", "motion_blur", "overlay", "haze", "narrow_band")
"""Nuisances that the wall and the flight know nothing of."""


def dressed(scene: Scene, seed: int) -> Scene:
    """The scene's colon, polyps, residue and instruments in the look of another seed.

    Its mucosa, the colours and surfaces of its polyps, its light, camera, lens and screen are
    drawn from the scene's ranges by `seed`, as that seed's own scene has them; shapes and places
    stay. A flight through `scene` is one through it.
    """
    ranges = scene.ranges
    drawn = make_nuisances(seed, ranges.nuisances)
    nuisances = replace(scene.nuisances, **{name: getattr(drawn, name) for name in OF_THE_CAMERA})
    light = make_light_settings(seed, ranges.light, ranges.camera, ranges.lens)
    surfaces = draw_surfaces(seed, len(scene.polyps), ranges.polyp_surface)
    rng = stream(seed, Stream.DRESS)
    polyps = []
    for polyp, surface in zip(scene.polyps, surfaces, strict=True):
        painted = appearance(rng, ranges.polyps)
        painted.pop("lobes")  # these are shape
        like_wall = bool(rng.random() < ranges.polyps.like_wall)
        polyps.append(replace(polyp, **painted, like_wall=like_wall, surface=surface))
    look = make_look(seed, ranges, nuisances)
    camera = make_camera_settings(seed, ranges.camera, nuisances, light)
    return replace(
        scene,
        seed=seed,
        polyps=tuple(polyps),
        look=look,
        nuisances=nuisances,
        camera=with_plausible_colours(camera, look.mucosa),
        display=make_display(seed, ranges.screen),
        recording=make_recording(seed, ranges.recording),
    )
