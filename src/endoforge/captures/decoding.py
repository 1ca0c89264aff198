"""Frames of video files as FFmpeg decodes them, through PyAV."""

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.container import InputContainer
from av.filter import Graph
from av.packet import Packet
from av.sidedata.sidedata import SideDataContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from endoforge.captures.pictures import MOST_PIXELS
from endoforge.core.errors import UserError
from endoforge.core.reading import open_regular
from endoforge.core.text import printable

FORMATS = (
    *("mov", "avi", "matroska", "asf", "flv", "gif", "mxf", "ogg"),
    *("mpegts", "mpeg", "mpegvideo", "m4v", "h264", "hevc", "dv"),
)
"""The formats that are opened, by FFmpeg's names: those that hold the frames themselves. Others,
such as playlists, have other files opened."""
READ_AT_ONCE = 2**18
"""Bytes that FFmpeg asks of a file in one read."""
MOST_REORDERED = 16
"""How many frames of H.264 may wait for one that is shown later."""
HIDING = {"mjpeg", "hevc"}
"""Codecs whose damaged frames come out with parts of earlier ones, unless told to fail."""

VideoPacket: TypeAlias = "Packet[VideoStream]"
Timed = tuple[int, float, VideoFrame]
"""A frame with its number in the video and its time in seconds."""


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A video file and its stream of frames; raises UserError if it can't be read."""
    # FFmpeg gets no name: in names it sees addresses, patterns and kinds of files.
    with _nameless(path) as file, _container(path, file) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream) or stream.codec_context is None:
            raise _unreadable(path, "no frames of a known kind in it")
        yield container, stream


@contextmanager
def _nameless(path: Path) -> Iterator[FileIO]:
    """The file by its descriptor alone; raises UserError if it can't be opened or isn't regular."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_regular(path))
        except OSError as error:
            raise UserError(f"{printable(str(path))}: can't be read ({error.strerror})") from error
        yield file


def _container(path: Path, file: FileIO) -> InputContainer:
    try:
        return av.open(
            file,
            mode="r",
            container_options={"format_whitelist": ",".join(FORMATS), "protocol_whitelist": ","},
            metadata_errors="replace",
            buffer_size=READ_AT_ONCE,
        )
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error.strerror) from error


def _unreadable(path: Path, why: str | None) -> UserError:
    name = printable(str(path))
    return UserError(f"{name}: not a video that FFmpeg reads ({why}); convert it to MP4 (H.264)")


def decoded(path: Path) -> Iterator[VideoFrame | None]:
    """Every frame, in the order of their times; None for one that can't be decoded whole.

    Raises UserError if the file can't be read. Several threads decode H.264 until something is
    damaged. Near there, what they give depends on their number and their pace, and the last frames
    may get lost; so one thread begins anew and goes on from there.
    """
    # Frames are held back until damage after them can no longer change them: what was given is what
    # one thread gives too, so that it can go on from there.
    given = 0
    held: deque[VideoFrame] = deque()
    for frame in _decoded(path, threads=True):
        if frame is None:
            yield from islice(_decoded(path, threads=False), given, None)
            return
        held.append(frame)
        if len(held) > MOST_REORDERED:
            yield held.popleft()
            given += 1
    yield from held


def _decoded(path: Path, *, threads: bool) -> Iterator[VideoFrame | None]:
    with open_video(path) as (container, stream):
        codec = decoder_of(stream, threads=threads)
        damaged: set[int | None] = set()
        newest = last = end = 0
        astray = False
        for packet in packets_of(container, stream):
            if packet is not None and packet.is_corrupt:
                damaged.add(packet.pts)
            elif packet is not None and not packet.is_discard:
                newest = max(newest, packet.pts or 0)
            try:
                frames = codec.decode(packet)
            except av.FFmpegError:
                astray = codec.name == "hevc"  # which refers to what isn't there
                yield None
                continue
            for frame in frames:
                frame.time_base = stream.time_base  # which the last ones lack
                last = frame.pts or 0
                end = last + frame.duration
                astray = astray and not frame.key_frame
                yield None if astray or frame.is_corrupt or frame.pts in damaged else frame
        if threads and last < newest >= end:  # PyAV hides errors that come after frames
            yield None


def decoder_of(stream: VideoStream, *, threads: bool) -> VideoCodecContext:
    """The decoder of a stream, which fails rather than give damaged frames or huge ones."""
    codec = stream.codec_context
    if threads and codec.name == "h264":
        codec.thread_type, codec.thread_count = "AUTO", 0
    else:
        codec.thread_type, codec.thread_count = "NONE", 1
    codec.options = {"max_pixels": str(MOST_PIXELS)}
    if codec.name in HIDING:
        codec.options |= {"err_detect": "explode"}
    return codec


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator["VideoPacket | None"]:
    """The packets that can be read; then None, for which a decoder gives what it has kept."""
    with suppress(av.FFmpegError, OSError):
        # An empty one stands for the frame before it; decoders would take it for the end.
        yield from (packet for packet in container.demux(stream) if packet.size)
    yield None


def deinterlaced(frames: Iterator[Timed]) -> Iterator[Timed]:
    """Give frame for frame what comes in, with the interlaced ones made whole."""
    graph, layout = None, None
    waiting: deque[tuple[int, float]] = deque()

    def done(graph: Graph) -> Iterator[Timed]:
        with suppress(BlockingIOError, EOFError):
            while True:
                frame = graph.vpull()
                yield *waiting.popleft(), frame

    for number, seconds, frame in frames:
        if graph is not None and layout != _layout(frame):
            graph.vpush(None)
            yield from done(graph)
            graph = None
        if graph is None and frame.interlaced_frame:
            graph, layout = _deinterlacer(frame), _layout(frame)
        if graph is None:
            yield number, seconds, frame
            continue
        waiting.append((number, seconds))
        graph.vpush(frame)
        yield from done(graph)
    if graph is not None:
        graph.vpush(None)
        yield from done(graph)


def _layout(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _deinterlacer(frame: VideoFrame) -> Graph:
    """A filter for frames laid out as `frame`: it gives as many, one later, and leaves progressive
    ones as they are."""
    graph = Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        ),
        graph.add("bwdif", mode="send_frame", deint="interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


def as_rgb(frame: VideoFrame, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, by the colours that the frame says it has, turned as it says.

    Colours of which it says nothing are taken for those of BT.601.
    """
    rgb = np.asarray(reformatter.reformat(frame, format="rgb24").to_ndarray(), dtype=np.uint8)
    return np.ascontiguousarray(_turned(rgb, frame))


def _turned(rgb: NDArray[np.uint8], frame: VideoFrame) -> NDArray[np.uint8]:
    """Turn a picture by the file's matrix, which takes (x, y) to (ax + cy, bx + dy).

    Only its quarter turns and mirrorings are followed.
    """
    # Not `frame.side_data`, which refers to the frame that keeps it: memory would grow.
    matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    if matrix is None:
        return rgb
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(b) > abs(a):
        rgb, a, d = rgb.swapaxes(0, 1), c, b
    return rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
