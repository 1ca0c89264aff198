"""The page finds in a browser what the detector finds in Python, and says what it can't look at."""

import functools
import http.server
import io
import re
import struct
import threading
from pathlib import Path
from typing import get_args

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

import endoforge
from endoforge.captures.pictures import encode_png, read_picture
from endoforge.core.choices import ResizeMode
from endoforge.data.letterbox import resize_picture
from endoforge.detect.predict import to_input
from tests.chromium import NEEDS_BROWSER, expect
from tests.export.browser.opened import Opened

pytestmark = NEEDS_BROWSER
STATIC = Path(endoforge.__file__).parent / "export" / "static"


def coloured(width, height, seed=0):
    """Blotches of all colours, in which the lively detector finds a lot."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.asarray(cv2.normalize(soft, noise, 0, 255, cv2.NORM_MINMAX))


def turned() -> bytes:
    """EXIF that says to turn the picture by a quarter before it is shown."""
    exif = Image.Exif()
    exif[274] = 6
    return exif.tobytes()


def saved(pixels, kind, **how) -> bytes:
    out = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(out, kind, **how)
    return out.getvalue()


def swapped_profile() -> bytes:
    """A colour profile in which red and blue have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swap = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}
    return re.sub(rb"[rb]XYZ", lambda tag: swap[tag[0]], profile)


def strange_gamma() -> PngInfo:
    """A note in a PNG file that its values are those of light itself."""
    notes = PngInfo()
    notes.add(b"gAMA", struct.pack(">I", 100_000))
    return notes


def palette_with_a_clear_colour() -> bytes:
    image = Image.fromarray(coloured(100, 70)).quantize(32)
    return saved(image, "PNG", transparency=3)


PICTURES = {
    "odd.png": encode_png(coloured(121, 87)),
    "narrow.png": encode_png(coloured(41, 200)),
    "smaller.png": encode_png(coloured(33, 21)),
    "blocks.png": encode_png(coloured(288, 192)),
    "halves.png": encode_png(coloured(192, 100)),
    "as it is.png": encode_png(coloured(96, 64)),
    "grey.png": encode_png(coloured(150, 90)[..., 0].copy()),
    "palette.png": palette_with_a_clear_colour(),
    "alpha.png": saved(Image.fromarray(coloured(120, 80)).convert("RGBA"), "PNG"),
    "turned.png": saved(coloured(120, 80), "PNG", exif=turned()),
    "gamma.png": saved(coloured(120, 80), "PNG", pnginfo=strange_gamma()),
    "profile.png": saved(coloured(120, 80), "PNG", icc_profile=swapped_profile()),
    "profile.jpg": saved(coloured(203, 111), "JPEG", quality=90, icc_profile=swapped_profile()),
    "photo.jpg": saved(coloured(203, 111), "JPEG", quality=90),
    "grey.jpg": saved(coloured(203, 111)[..., 1].copy(), "JPEG", quality=90),
    "turned.jpg": saved(coloured(203, 111), "JPEG", quality=90, exif=turned()),
    "progressive.jpg": saved(coloured(203, 111), "JPEG", quality=90, progressive=True),
    "ünïcode <b>&.webp": saved(coloured(130, 90), "WEBP", lossless=True, exif=turned()),
    "plain.bmp": saved(coloured(130, 90), "BMP"),
}


@pytest.fixture(scope="module")
def scratch(browser):
    """A page without a policy, for scripts alone."""
    page = browser.new_page()
    yield page
    page.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, data in PICTURES.items():
        (folder / name).write_bytes(data)
    return folder


def test_it_finds_what_python_finds(opened, pictures, detector):
    opened.choose(*(pictures / name for name in PICTURES))
    for name in PICTURES:
        expected = detector.detect(read_picture(pictures / name))
        assert len(expected) > 3, name
        opened.show(name)
        boxes, captions = opened.boxes()
        assert boxes == pytest.approx(expected.boxes, abs=1e-3), name
        assert [label for label, _ in captions] == [detector.classes[n] for n in expected.classes]
        assert [score for _, score in captions] == pytest.approx(expected.scores, abs=0.0051)


SIZES = {
    "a part of a pixel": (121, 87),
    "one side alone shrinks": (400, 21),
    "both grow": (33, 21),
    "whole blocks": (288, 64),
    "blocks of two": (192, 128),
    "as it is": (96, 64),
    "one pixel": (1, 1),
    "a half to round": (192, 33),
}


@pytest.mark.parametrize("mode", get_args(ResizeMode))
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_the_input_is_that_of_python_to_the_bit(scratch, size, mode):
    picture = coloured(*size)
    rgba = np.dstack([picture, np.full(size[::-1], 255, np.uint8)])
    found = scratch.evaluate(
        """([script, data, width, height, mode]) => {
            const inputOf = new Function(`${script}; return inputOf;`)();
            const picture = { width, height, data: Uint8ClampedArray.from(data) };
            return [...inputOf(picture, { width: 96, height: 64 }, mode).values];
        }""",
        [(STATIC / "resize.js").read_text(), rgba.ravel().tolist(), *size, mode],
    )
    expected, _ = resize_picture(picture, (96, 64), mode)
    values = np.array(found, np.float32).reshape(3, 64, 96)
    assert (values == to_input(torch.from_numpy(expected[None]))[0].numpy()).all()


def test_what_cannot_be_looked_at_is_named_and_never_without_a_box(opened, tmp_path):
    broken = {
        "text.png": b"no picture",
        "empty.jpg": b"",
        "cut.png": PICTURES["odd.png"][:-900],
        "no end.png": PICTURES["odd.png"][:-12],
        "cut.jpg": PICTURES["photo.jpg"][:-900],
        "cut.webp": saved(coloured(130, 90), "WEBP")[:-200],
        "damaged.png": PICTURES["odd.png"][:900] + bytes(90) + PICTURES["odd.png"][990:],
        "text.mp4": b"no clip",
    }
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
    opened.choose(*(tmp_path / name for name in broken))
    for name in broken:
        opened.page.locator("#entries button", has_text=name).click()
        fault = opened.page.locator("#words")
        expect(fault).to_contain_text(f"{name}: ")
        expect(fault).to_contain_text("It was not looked at.")
        expect(opened.page.locator("#summary")).to_have_text("Not looked at.")
        assert opened.said_of(name).startswith("not looked at: "), name
        assert opened.page.locator("#view").is_hidden()
    files = opened.page.locator("#entries li")
    said = f"{files.count()} files, {len(broken)} not looked at"
    expect(opened.page.locator("#files-head")).to_have_text(said)
    assert opened.said_of("empty.jpg") == "not looked at: the file is empty"
    assert opened.said_of("cut.jpg") == "not looked at: the file is cut short"


def test_transparency_is_told_of(opened, tmp_path):
    image = Image.fromarray(coloured(120, 80)).convert("RGBA")
    image.putpixel((7, 7), (255, 0, 0, 0))
    (tmp_path / "clear.png").write_bytes(saved(image, "PNG"))
    (tmp_path / "alpha.png").write_bytes(PICTURES["alpha.png"])
    opened.choose(tmp_path / "clear.png", tmp_path / "alpha.png")
    note = opened.page.locator("#note")
    expect(note).to_contain_text("transparent")
    opened.show("alpha.png")
    expect(note).to_be_hidden()


def test_the_score_decides_what_is_shown_and_the_keyboard_moves_it(opened, pictures, detector):
    opened.choose(pictures / "odd.png")
    everything = detector.detect(read_picture(pictures / "odd.png"))
    slider = opened.page.get_by_label("Least score")
    for _ in range(20):
        slider.press("ArrowRight")
    expect(opened.page.locator("#score-shown")).to_have_text("0.50")
    left = int((everything.scores >= 0.5).sum())
    assert 0 < left < len(everything)
    expect(opened.page.locator(".box")).to_have_count(left)
    expect(opened.page.locator("#found li")).to_have_count(left)
    expect(opened.page.locator("#summary")).to_have_text(f"odd.png: {left} boxes")
    slider.press("End")
    expect(opened.page.locator("#score-shown")).to_have_text("0.95")


def test_pictures_are_dropped_and_pasted(opened):
    for number, event in enumerate(("drop", "paste"), 1):
        opened.page.evaluate(
            """([event, bytes]) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], `${event}.png`));
                dispatchEvent(event === "drop"
                    ? new DragEvent(event, { dataTransfer: data })
                    : new ClipboardEvent(event, { clipboardData: data }));
            }""",
            [event, list(PICTURES["odd.png"])],
        )
        expect(opened.page.locator("#summary")).to_contain_text(f"{event}.png: ")
        expect(opened.page.locator("#entries li")).to_have_count(number)


def clip_of(frames, path):
    """A clip of ten frames a second; gives its first frame as FFmpeg decodes it."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.bit_rate = 10_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(path) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_a_clip_is_looked_at_while_it_plays(opened, detector, tmp_path):
    frame = cv2.resize(coloured(48, 32), (288, 192), interpolation=cv2.INTER_CUBIC)
    decoded = clip_of([frame] * 10, tmp_path / "clip.webm")
    # A browser's colours of a clip are near those of FFmpeg, not the same: so are the boxes.
    sure = detector.detect(decoded).above(0.45)
    assert len(sure) > 1
    opened.choose(tmp_path / "clip.webm")
    page = opened.page
    expect(page.locator("#speed")).to_contain_text("frames looked at")
    expect(page.locator("#play")).to_have_text("Play")
    expect(page.locator("#time")).to_contain_text(" / 0:01.0")
    boxes, _ = opened.boxes()
    apart = np.abs(boxes[None] - sure.boxes[:, None]).max(axis=2).min(axis=1)
    assert apart.max() < 0.03
    page.get_by_label("Time in the clip").press("Home")
    expect(page.locator("#time")).to_contain_text("0:00.0 /")
    page.locator("#play").press("Enter")
    expect(page.locator("#play")).to_have_text("Pause")


def test_a_clip_that_is_cut_short_is_told_of(opened, tmp_path):
    whole = tmp_path / "whole.webm"
    clip_of([coloured(96, 64, seed) for seed in range(40)], whole)
    data = whole.read_bytes()
    for name, part in (("half.webm", len(data) // 2), ("start.webm", len(data) // 30)):
        (tmp_path / name).write_bytes(data[:part])
    opened.choose(tmp_path / "half.webm")
    expect(opened.page.locator("#note")).to_contain_text("what follows was not looked at")
    expect(opened.page.locator("#speed")).to_contain_text("frames looked at")
    opened.choose(tmp_path / "start.webm")
    expect(opened.page.locator("#words")).to_have_text(
        "start.webm: this browser can't decode this clip. It was not looked at."
    )


@pytest.fixture
def host(page_file):
    """A static host of the page, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

    serve = functools.partial(Handler, directory=str(page_file.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_from_a_host_it_asks_for_itself_alone_and_its_policy_forbids_more(
    browser, host, pictures, page_file
):
    address, asked = host
    opened = Opened(browser, f"{address}/{page_file.name}")
    opened.choose(pictures / "odd.png")
    expect(opened.page.locator("#summary")).to_contain_text("odd.png: ")
    ask = f"fetch('{address}/taken').then(() => 'went', () => 'refused')"
    assert opened.page.evaluate(ask) == "refused"
    [worker] = opened.page.workers
    assert worker.evaluate(ask) == "refused"
    assert asked == [f"/{page_file.name}"]
    opened.close()


def test_nothing_is_wider_than_the_window(opened, pictures):
    opened.choose(pictures / "ünïcode <b>&.webp")
    expect(opened.page.locator("#summary")).to_contain_text("ünïcode <b>&.webp: ")
    papers = set()
    for width, scheme in ((360, "dark"), (1200, "light")):
        opened.page.emulate_media(color_scheme=scheme)
        opened.page.set_viewport_size({"width": width, "height": 740})
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        papers.add(opened.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(papers) == 2
