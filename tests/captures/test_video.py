"""Videos of every kind, made here: their frames, times and colours, and what damage leaves."""

import gc
import os
import socket
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame

from endoforge.captures.decoding import _decoded, decoded
from endoforge.captures.video import Video
from endoforge.core.errors import UserError

HEIGHT, WIDTH = 96, 128
MS = Fraction(1, 1000)
BT_601, BT_709 = 6, 1


def grey(number):
    """As grey as 4 times its number."""
    return np.full((HEIGHT, WIDTH, 3), 4 * number, np.uint8)


def scene(number):
    """Something soft and colourful that moves."""
    small = np.random.default_rng(7).integers(20, 236, (6, 16, 3), np.uint8)
    large = cv2.resize(small, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[:, 2 * number : 2 * number + WIDTH])


def save(path, pictures, codec="libx264", layout="yuv420p", ticks=None, unit=Fraction(1, 25), **of):
    """A video of these pictures; `of` holds options of the codec, `turn` and `colours`."""
    turn, colours = of.pop("turn", None), of.pop("colours", None)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=of)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = layout
        stream.codec_context.time_base = unit
        if turn:
            stream.set_display_rotation(*turn)
        if colours:
            stream.colorspace = colours
        for number, picture in enumerate(pictures):
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format=layout, dst_colorspace=colours)
            frame.pts, frame.time_base = number if ticks is None else ticks[number], unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path, fps=None):
    """Numbers, times and pictures."""
    frames = list(Video(path).frames(fps))
    return tuple(zip(*frames, strict=True)) if frames else ((), (), ())


def greys(pictures):
    return [round(picture.mean() / 4) for picture in pictures]


def far(picture, other):
    return np.abs(picture.astype(int) - other).mean()


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_times_are_those_of_the_file(tmp_path, name):
    """25 frames in the first second, then 25 at 5 a second."""
    times = [*range(0, 1000, 40), *range(1000, 6000, 200)]
    path = save(tmp_path / name, [grey(n) for n in range(50)], ticks=times, unit=MS)
    numbers, seconds, pictures = read(path)
    assert numbers == tuple(range(50))
    assert seconds == pytest.approx([time / 1000 for time in times], abs=1e-3)
    assert greys(pictures) == list(range(50))
    numbers, seconds, pictures = read(path, 5)
    assert seconds == pytest.approx([n / 5 for n in range(30)], abs=1e-3)
    assert greys(pictures) == list(numbers) == [0, 5, 10, 15, 20, *range(25, 50)]
    video = Video(path)
    for fps in (None, 5, 10):
        assert video.lacking(sum(1 for _ in video.frames(fps)), fps) == 0


def test_times_that_a_file_rounds_still_meet_even_ones(tmp_path):
    """30 frames a second in whole milliseconds: the 4th comes at 0.133, not at 2 / 15."""
    times = [round(1000 * n / 30) for n in range(30)]
    path = save(tmp_path / "a.mkv", [grey(n) for n in range(30)], ticks=times, unit=MS)
    assert read(path, 15)[0] == tuple(range(0, 30, 2))


def test_an_avi_with_reordered_frames_has_even_times(tmp_path):
    path = save(tmp_path / "a.avi", [grey(n) for n in range(20)], bf="3", b_strategy="0")
    _, seconds, pictures = read(path)
    assert greys(pictures) == list(range(20))
    assert seconds == pytest.approx([n / 25 for n in range(20)])


def test_joined_files_go_on_in_time_and_may_change_their_size(tmp_path):
    one = save(tmp_path / "1.ts", [scene(n) for n in range(10)])
    large = [cv2.resize(scene(n), (192, 160)) for n in range(10)]
    other = save(tmp_path / "2.ts", large)
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + other.read_bytes())
    _, seconds, pictures = read(both)
    assert {picture.shape for picture in pictures} == {(96, 128, 3), (160, 192, 3)}
    assert pictures[-1].shape == (160, 192, 3)
    assert far(pictures[-1], large[-1]) < 5
    assert 18 <= len(pictures) <= 20  # the one at the joint may count as damaged
    assert all(0 <= late - early < 0.2 for early, late in pairwise(seconds))
    assert len(read(both, 5)[0]) == pytest.approx(4, abs=1)


def test_what_an_edit_list_cuts_out_is_neither_given_nor_lacking(tmp_path):
    whole = save(tmp_path / "a.mp4", [grey(n) for n in range(50)])
    cut = tmp_path / "cut.mp4"
    with av.open(str(whole)) as source:
        stream = source.streams.video[0]
        assert stream.time_base is not None
        earlier = round(0.4 / stream.time_base)
        with av.open(str(cut), "w", container_options={"avoid_negative_ts": "disabled"}) as target:
            copy = target.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.size:
                    assert packet.pts is not None
                    assert packet.dts is not None
                    packet.pts, packet.dts = packet.pts - earlier, packet.dts - earlier
                    packet.stream = copy
                    target.mux(packet)
    video = Video(cut)
    frames = list(video.frames())
    assert greys(picture for _, _, picture in frames) == list(range(10, 50))
    assert frames[0][1] == 0
    assert video.lacking(len(frames)) == 0


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"flags": "+ilme+ildct", "crf": "10"}),
        ("a.mpg", "mpeg2video", {"flags": "+ilme+ildct", "qmin": "1", "qmax": "2"}),
    ],
)
def test_interlaced_frames_are_made_whole(tmp_path, name, codec, options):
    """Rows 1, 3, 5 are of one moment, rows 0, 2, 4 of the next: something moves in between."""
    moments = [np.repeat(scene(2 * number)[..., :1], 3, axis=2) for number in range(24)]
    woven = [moment.copy() for moment in moments[::2]]
    for picture, later in zip(woven, moments[1::2], strict=True):
        picture[::2] = later[::2]
    path = save(tmp_path / name, woven, codec, **options)
    with av.open(str(path)) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))
    numbers, seconds, pictures = read(path)
    assert numbers == tuple(range(12))
    assert seconds == pytest.approx([n / 25 for n in range(12)])
    for number in range(1, 11):
        assert far(woven[number], moments[2 * number]) > 5
        assert far(pictures[number], moments[2 * number]) < 2


@pytest.mark.parametrize(
    ("turn", "turned"),
    [
        ((90,), lambda p: np.rot90(p)),
        ((180,), lambda p: np.rot90(p, 2)),
        ((270,), lambda p: np.rot90(p, 3)),
        ((0, True), lambda p: p[:, ::-1]),
        ((0, False, True), lambda p: p[::-1]),
        ((90, True), lambda p: np.rot90(p)[:, ::-1]),
    ],
)
def test_frames_are_turned_as_the_file_says(tmp_path, turn, turned):
    _, _, pictures = read(save(tmp_path / "a.mp4", [scene(0), scene(1)], turn=turn))
    for number, picture in enumerate(pictures):
        expected = turned(scene(number))
        assert picture.shape == expected.shape
        assert picture.flags.c_contiguous
        assert far(picture, expected) < 5


@pytest.mark.parametrize(
    ("name", "codec", "layout", "colours"),
    [
        ("a.mp4", "libx264", "yuv420p", None),
        ("a.mp4", "libx264", "yuv420p", BT_601),
        ("a.mp4", "libx264", "yuv420p", BT_709),
        ("a.mp4", "libx264", "yuv422p10le", BT_709),
        ("a.mkv", "ffv1", "yuv444p16le", BT_709),
        ("a.mkv", "ffv1", "gray", None),
        ("a.avi", "mjpeg", "yuvj422p", None),
        ("a.mov", "prores_ks", "yuv444p10le", BT_601),
        ("a.avi", "rawvideo", "bgr24", None),
    ],
)
def test_colours_are_those_of_the_source(tmp_path, name, codec, layout, colours):
    pictures = [scene(n) for n in range(3)]
    if layout == "gray":
        pictures = [np.repeat(picture[..., 1:2], 3, axis=2) for picture in pictures]
    options = {"crf": "5"} if codec == "libx264" else {}
    path = save(tmp_path / name, pictures, codec, layout, colours=colours, **options)
    _, _, found = read(path)
    assert len(found) == 3
    for picture, source in zip(found, pictures, strict=True):
        assert picture.shape == source.shape
        assert far(picture, source) < 4
        assert abs(picture.mean(axis=(0, 1)) - source.mean(axis=(0, 1))).max() < 2.5


def test_an_odd_size(tmp_path):
    pictures = [scene(n)[:95, :127] for n in range(3)]
    _, _, found = read(save(tmp_path / "a.mkv", pictures, "ffv1", "yuv420p"))
    assert [picture.shape for picture in found] == [(95, 127, 3)] * 3
    assert far(found[1], pictures[1]) < 4


def spoil(path, place, length, with_bytes=bytes):
    data = bytearray(path.read_bytes())
    start = round(place * len(data))
    data[start : start + length] = with_bytes(length)
    path.write_bytes(data)


def places(path):
    """Where a file's packets lie, and how long they are."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def spoil_packet(path, number):
    start, size = places(path)[number]
    data = bytearray(path.read_bytes())
    data[start : start + size] = bytes(size)
    path.write_bytes(data)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mjpeg")])
@pytest.mark.parametrize("lost", [{20}, {20, 21}, {58}, {59}])
def test_after_damage_it_goes_on_and_counts_what_is_lost(tmp_path, name, codec, lost):
    """Also near the end, where several threads would lose more."""
    layout = {"libx264": "yuv420p", "mjpeg": "yuvj420p"}[codec]
    path = save(tmp_path / name, [grey(n) for n in range(60)], codec, layout, g="1")
    for number in lost:
        spoil_packet(path, number)
    video = Video(path)
    frames = list(video.frames())
    numbers = [number for number, _, _ in frames]
    assert numbers == [number for number in range(60) if number not in lost]
    assert [seconds for _, seconds, _ in frames] == pytest.approx([n / 25 for n in numbers])
    assert greys(picture for _, _, picture in frames) == numbers
    assert (video.lacking(len(frames)), video.expected()) == (len(lost), 60)


def test_a_frame_that_is_half_there_is_left_out(tmp_path):
    """The decoder would fill it up with what was in memory."""
    pictures = [scene(n) for n in range(10)]
    path = save(tmp_path / "a.avi", pictures, "mjpeg", "yuvj420p", qmin="1", qmax="2")
    start, size = places(path)[5]
    data = bytearray(path.read_bytes())
    data[start + size // 2 : start + size] = b"\xff" * (size - size // 2)
    path.write_bytes(data)
    numbers, _, pictures = read(path)
    assert numbers == (0, 1, 2, 3, 4, 6, 7, 8, 9)
    assert all(far(p, scene(n)) < 6 for n, p in zip(numbers, pictures, strict=True))


def test_nor_is_one_given_at_which_a_file_is_cut_short(tmp_path):
    path = save(tmp_path / "a.avi", [scene(n) for n in range(10)], "huffyuv", "yuv422p")
    start, size = places(path)[5]
    path.write_bytes(path.read_bytes()[: start + size // 3])
    assert read(path)[0] == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7, 0.9, 0.97])
@pytest.mark.parametrize("length", [50, 600])
def test_what_damage_leaves_is_the_same_with_any_number_of_threads(tmp_path, place, length):
    path = save(tmp_path / "a.ts", [scene(n % 60) for n in range(100)], g="25", bf="3")
    spoil(path, place, length, np.random.default_rng(0).bytes)

    def pixels(frames):
        return [None if one is None else one.to_ndarray(format="rgb24").tobytes() for one in frames]

    serial = pixels(_decoded(path, threads=False))
    assert pixels(decoded(path)) == serial
    assert len(serial) > 70


def test_near_damage_no_frame_of_several_threads_is_given(monkeypatch):
    """Those up to 16 before it may refer to it."""

    def fake(_, *, threads):
        return iter([*range(20), None]) if threads else iter("abcdefghijklmnopqrstuvw")

    monkeypatch.setattr("endoforge.captures.decoding._decoded", fake)
    assert list(decoded(Path("any"))) == [0, 1, 2, 3, *"efghijklmnopqrstuvw"]


def test_a_file_cut_short_is_told_by_its_header(tmp_path):
    path = save(tmp_path / "a.avi", [grey(n) for n in range(50)], "mjpeg", "yuvj420p")
    start, _ = places(path)[20]
    path.write_bytes(path.read_bytes()[: start - 8])
    video = Video(path)
    assert video.lacking(sum(1 for _ in video.frames())) == 30
    assert video.lacking(sum(1 for _ in video.frames(5)), 5) == 6
    assert video.lacking_from == pytest.approx(0.8)
    path = save(tmp_path / "a.mkv", [scene(n) for n in range(50)])  # which tells its time alone
    start, _ = places(path)[30]
    path.write_bytes(path.read_bytes()[: start - 8])
    video = Video(path)
    assert video.lacking(sum(1 for _ in video.frames())) == pytest.approx(20, abs=2)
    assert video.lacking_from == pytest.approx(1.2, abs=0.1)  # by decoding order


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
def test_a_first_frame_that_is_late_means_no_loss(tmp_path, name):
    """Half a second into the file's time, as where the sound begins before."""
    ticks = range(500, 2500, 40)
    pictures = [grey(n) for n in range(50)]
    path = save(tmp_path / name, pictures, ticks=ticks, unit=Fraction(1, 1000))
    video = Video(path)
    frames = list(video.frames())
    assert (len(frames), frames[0][1], video.lacking(len(frames))) == (50, 0.0, 0)
    assert video.expected() == 50


def test_a_playlist_opens_nothing(tmp_path, monkeypatch):
    """Whatever its name: neither another file nor an address."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "other.mp4", [grey(n) for n in range(5)])
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        for named in ("other.mp4", str(tmp_path / "other.mp4"), address):
            for text in (
                f"ffconcat version 1.0\nfile '{named}'\n",
                f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{named}\n#EXT-X-ENDLIST\n",
            ):
                for suffix in (".mp4", ".ts"):
                    path = tmp_path / f"list{suffix}"
                    path.write_text(text)
                    with pytest.raises(UserError, match="not a video that FFmpeg reads"):
                        Video(path)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.skipif(os.name != "posix", reason="what names may hold on POSIX")
@pytest.mark.parametrize("name", [b"\xff.mp4", b"a%03d.gif", b"[a]*?{b}.gif", b"concat:a.mp4"])
def test_a_name_is_nothing_but_a_name(tmp_path, name, monkeypatch):
    suffix = name.decode("latin-1")[-4:]
    codec, layout = ("gif", "rgb8") if suffix == ".gif" else ("libx264", "yuv420p")
    path = save(tmp_path / f"plain{suffix}", [grey(n) for n in range(5)], codec, layout)
    monkeypatch.chdir(tmp_path)
    odd = path.rename(os.fsdecode(name))
    assert read(odd)[0] == tuple(range(5))


def test_what_isnt_a_video_is_an_error(tmp_path):
    path = tmp_path / "clip.mp4"
    with pytest.raises(UserError, match=r"clip\.mp4: no such video"):
        Video(path)
    path.write_bytes(b"not a video")
    with pytest.raises(UserError, match=r"clip\.mp4: not a video that FFmpeg reads .*convert it"):
        Video(path)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        silence = np.zeros((1, 4096), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode()])
    with pytest.raises(UserError, match="no frames of a known kind in it"):
        Video(path)


def test_frames_that_are_done_with_take_no_memory(tmp_path):
    """Without waiting for the collector of cycles, which counts objects, not their megabytes."""
    video = Video(save(tmp_path / "a.mp4", [grey(n) for n in range(60)]))
    gc.collect()
    gc.disable()
    try:
        assert sum(1 for _ in video.frames()) == 60
        assert gc.collect() < 30
    finally:
        gc.enable()
