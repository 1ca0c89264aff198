"""From what the simulator knows of a frame to its label on disk."""

from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.sim.labels import PolypView
from endoforge.sim.optics import Lens
from endoforge.sim.simulator import FrameTruth


def frame_label(truth: FrameTruth) -> FrameLabel:
    """Make the label of a frame.

    Its clock is the simulated one, which starts at 0: the same seed gives the same bytes.
    """
    lens, state = truth.run.lens, truth.state
    sim_time = round(state.time_s, 6)
    return FrameLabel(
        frame_id=truth.frame_id,
        sim_time=sim_time,
        unix_time=sim_time,
        image=image_name(truth.frame_id),
        image_present=True,
        camera_active=True,
        polyp_seed=truth.run.seed,
        polyp_labels=[_polyp_label(view, lens) for view in truth.views],
        camera={"pose": state.pose.as_json(), "intrinsics": lens.intrinsics()},
    )


def _polyp_label(view: PolypView, lens: Lens) -> PolypLabel:
    box = view.box_px
    norm = None
    if box is not None:
        x0, y0, x1, y1 = box
        norm = (x0 / lens.width, y0 / lens.height, x1 / lens.width, y1 / lens.height)
    return PolypLabel(
        center_world=view.centre,
        bbox_px=box,
        bbox_norm=norm,
        label="polyp",
        visibility=round(view.visibility, 4),
        paris=view.polyp.paris,
        diameter_mm=round(view.polyp.diameter_mm, 3),
        distance_mm=round(view.distance_mm, 3),
        polyp_id=view.instance,
    )
