"""The state message: what the heads-up display shows."""

from typing import Any

from endoforge.view.live_recording import Recording
from endoforge.view.session import Session
from endoforge.view.world import World


def state_message(session: Session, viewers: int) -> dict[str, Any]:
    """All but `client`, which differs from viewer to viewer."""
    with session.shared.lock:
        world = session.shared.world
        return {
            "type": "state",
            **(_of_world(world) if world else _of_nothing(session)),
            "detector": session.detecting.as_json(),
            "recorder": _of_recorder(session),
            "rates": _rates(session, viewers),
            "truth": {
                "shown": session.encoding.with_truth,
                **session.detecting.score.as_json(),
            },
            "renderer": session.show.engine or "starting",
            "device": session.device_name,
        }


def _of_world(world: World) -> dict[str, Any]:
    return {
        "seed": str(world.colon.base_seed),
        "paused": world.paused,
        "speed": world.speed,
        "time_s": round(world.flight_s if world.autopilot else world.time_s, 3),
        "duration_s": round(world.colon.duration_s, 3),
        "autopilot": world.autopilot,
        "camera": world.camera,
        "segment": world.segment,
        "depth_cm": round(world.place.s_mm / 10, 1),
        "length_cm": round(world.lumen.length_mm / 10, 1),
    }


def _of_nothing(session: Session) -> dict[str, Any]:
    """Before the first colon is there."""
    return {
        "seed": str(session.seed),
        "paused": False,
        "speed": 1.0,
        "time_s": 0.0,
        "duration_s": 0.0,
        "autopilot": True,
        "camera": "endoscope",
        "segment": "",
        "depth_cm": 0.0,
        "length_cm": 0.0,
    }


def _of_recorder(session: Session) -> dict[str, Any]:
    going, last = session.shared.recording, session.last_recording
    shown: Recording | None = going or last
    return {
        "recording": going is not None,
        "data_run": going is not None and going.data_run,
        "run": shown.run_name if shown else None,
        "frames": shown.frames if shown else 0,
        "max_frames": shown.max_frames if shown else session.config.max_frames,
        "error": shown.error if shown else None,
    }


def _rates(session: Session, viewers: int) -> dict[str, Any]:
    render_ms = session.show.rate.milliseconds()
    encode_ms = session.encoding.rate.milliseconds()
    return {
        "rendered_hz": round(session.show.rate.hz, 1),
        "encoded_hz": round(session.encoding.rate.hz, 1),
        "render_ms": None if render_ms is None else round(render_ms, 2),
        "encode_ms": None if encode_ms is None else round(encode_ms, 2),
        "dropped": session.encoding.frames.dropped,
        "clients": viewers,
    }
