"""Frames of cameras and streams as they come."""

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from endoforge.captures.addresses import LiveAddress
from endoforge.captures.decoding import FORMATS, decoder_of, deinterlaced
from endoforge.core.errors import UserError
from endoforge.core.text import printable

OPEN_S, READ_S = 10.0, 5.0
"""Seconds until a stream that doesn't answer, or falls silent, is given up."""
PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,srtp,udp,tcp,tls,crypto",
    "http": "http,https,tcp,tls",
    "https": "https,http,tcp,tls",
    "udp": "udp",
    "rtmp": "rtmp,rtmpt,tcp",
    "srt": "srt",
}
"""What FFmpeg may open for an address: never a file, whatever a server answers."""
STREAMS = (*FORMATS, "rtsp", "mpjpeg", "mjpeg", "live_flv")
"""Formats of streams, by FFmpeg's names. Playlists (HLS) aren't among them: they name addresses."""
PROBED_S = 2.0
"""Of a stream at most so much is read until it is known what is in it."""
AHEAD_S = 1.0
"""Of a whole file at an address, frames are read so long before their time."""


class StreamBroken(Exception):
    """A camera or stream gives no frames, or no more of them; its text says why."""


@contextmanager
def live_frames(source: LiveAddress) -> Iterator[Iterator[VideoFrame]]:
    """Open a camera or stream, and give its frames as they come, whole and deinterlaced.

    They must be taken as fast as they come. What is damaged is passed over. Raises StreamBroken,
    while it is opened and while frames are taken; UserError if FFmpeg has no such protocol.
    """
    with _opened(source) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream) or stream.codec_context is None:
            raise StreamBroken("no pictures of a known kind in it")
        timed = ((0, 0.0, frame) for frame in _frames(container, stream))
        yield (frame for _, _, frame in deinterlaced(timed))


def _opened(source: LiveAddress) -> InputContainer:
    options = {"analyzeduration": str(round(1e6 * PROBED_S))}
    if source.scheme is None:
        kind = "v4l2"
        formats = "v4l2,video4linux2"
    else:
        kind = None
        formats = ",".join(STREAMS)
        options["protocol_whitelist"] = PROTOCOLS[source.scheme]
    if source.scheme in {"rtsp", "rtsps"}:
        options["rtsp_transport"] = "tcp"  # by UDP, lost packets smear the picture
    try:
        return av.open(
            source.address,
            mode="r",
            format=kind,
            options=options | {"format_whitelist": formats},
            metadata_errors="replace",
            timeout=(OPEN_S, READ_S),
        )
    except av.error.ProtocolNotFoundError as error:
        raise UserError(f"{source.shown}: this FFmpeg can't open {source.scheme}") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise StreamBroken(_why(error)) from error


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    codec = decoder_of(stream, threads=False)  # threads would hold frames back
    is_file = container.duration is not None
    began: float | None = None
    astray = False
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, OSError) as error:
            raise StreamBroken(_why(error)) from error
        try:
            frames = codec.decode(packet) if packet.size else []
        except av.FFmpegError:
            astray = astray or codec.name == "hevc"  # which refers to what isn't there
            continue
        for frame in frames:
            astray = astray and not frame.key_frame
            if astray or frame.is_corrupt:
                continue
            if is_file and frame.time is not None:
                began = time.monotonic() - frame.time if began is None else began
                time.sleep(min(max(began + frame.time - AHEAD_S - time.monotonic(), 0.0), AHEAD_S))
            yield frame


def _why(error: Exception) -> str:
    """The reason in a line, without the address, which may hold a password."""
    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return "it doesn't answer"
    if isinstance(error, OSError) and error.errno == errno.EIO:
        return "it broke off"
    text = error.strerror if isinstance(error, OSError | av.FFmpegError) else None
    return printable(text or "it can't be opened")
