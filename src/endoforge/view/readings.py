"""The state message, read from a session."""

from endoforge.view.session import Session
from endoforge.view.to_viewers import (
    ClientState,
    LiveState,
    RatesState,
    RecorderState,
    SourceState,
    WorldState,
)
from endoforge.view.world import World


def read_state(session: Session, viewers: int, client: ClientState) -> LiveState:
    """All that the page shows, for one of so many viewers; `client` is of that one alone."""
    with session.shared.lock:
        world = session.shared.world
        return LiveState(
            world=_world(world) if world else _no_world(session),
            detector=session.detecting.reading(),
            recorder=_recorder(session),
            rates=RatesState(
                rendered_hz=round(session.show.rate.hz, 1),
                encoded_hz=round(session.encoding.rate.hz, 1),
                dropped=session.encoding.dropped,
                clients=viewers,
                newest_first=session.encoding.newest_first,
            ),
            truth=session.detecting.score.reading(
                session.detecting.setting, shown=session.encoding.with_truth
            ),
            lesions=session.detecting.lesions.reading(),
            client=client,
            renderer=session.show.engine or "starting",
            trouble=session.show.trouble,
            device=session.compute.describe(),
            source=_source(session),
            sources=session.source_names,
            source_place=session.source_place,
        )


def _world(world: World) -> WorldState:
    return WorldState(
        seed=str(world.colon.base_seed),
        paused=world.paused,
        speed=world.speed,
        time_s=round(world.flight_s if world.autopilot else world.time_s, 3),
        duration_s=round(world.colon.duration_s, 3),
        place_s=round(world.flight_s, 3),
        loop=world.loop,
        autopilot=world.autopilot,
        camera=world.camera,
        segment=world.segment,
        depth_cm=round(world.place.s_mm / 10, 1),
        length_cm=round(world.lumen.length_mm / 10, 1),
    )


def _source(session: Session) -> SourceState | None:
    return None if session.source is None else session.source.reading()


def _no_world(session: Session) -> WorldState:
    """The state while there is no colon yet; of a source, its clock alone."""
    source = session.source
    if source is None:
        return WorldState(str(session.seed))
    return WorldState(
        seed="",
        paused=source.paused,
        speed=source.speed,
        time_s=round(source.time_s, 3),
        duration_s=source.reading().duration_s,
        place_s=round(source.time_s, 3),
        loop=source.loop,
    )


def _recorder(session: Session) -> RecorderState:
    going = session.recording
    shown = going or session.last_recording
    return RecorderState(
        recording=going is not None,
        data_run=going is not None and going.data_run,
        run=shown.run_name if shown else None,
        frames=shown.frames if shown else 0,
        max_frames=shown.max_frames if shown else session.config.max_frames,
        error=shown.error if shown else None,
    )
