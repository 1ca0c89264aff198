"""Files that once hung a command, filled the memory, or ended it with a bug: one case each."""

import io
import json
import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_tensors

from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import METADATA_KEY
from endoforge.view.run_files import NotThere
from endoforge.view.training.curves import TrainingWatch, read_metrics, read_status
from endoforge.view.training.library import Library

from .harness import call
from .strategies import ESCAPES
from .test_readers import (
    COCO,
    LABEL,
    MANIFEST,
    PICTURE,
    POLYP,
    VOC,
    WHOLE,
    YOLO,
    dumped,
    import_of,
    safetensors_file,
    write,
    write_run,
)

MOST_KB = 2_000_000
DEEP = "[" * 100_000


def detect_with(weights: Path, folder: Path) -> tuple[int, str]:
    write(folder / "a.png", PICTURE)
    words = ["--checkpoint", str(weights), "--output", f"{folder}/out", "--device", "cpu"]
    return call(["detect", f"{folder}/a.png", *words], folder)


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"depths": [10**8, 1, 1]}},
        {"model": {"widths": [16, 48, 80, 13_000]}},
        {"model": {"widths": [16, 48, 80, 512]}},
        {"model": {"head_width": 10**9}},
        {"model": {"classes": ["a" * 10**6]}},
        {"model": {"classes": ["a\0"]}},
        {"model": {"classes": [["a"]]}},
        {"model": {"name": 3}},
        {"input_size": "99992x99992"},
        {"input_size": f"{'9' * 5000}x1"},
        {"input_size": 64},
        {"resize_mode": ["letterbox"]},
        {"label_field": "colour"},
    ],
    ids=str,
)
def test_weights_that_claim_another_model(change: dict[str, Any], tmp_path: Path) -> None:
    metadata = json.loads(dumped(WHOLE))
    for name, value in change.items():
        metadata[name] = metadata[name] | value if isinstance(value, dict) else value
    path = write(tmp_path / "w.safetensors", safetensors_file(metadata))
    code, said = detect_with(path, tmp_path)
    assert code == 2
    assert "w.safetensors: not weights of this version" in said


@pytest.mark.parametrize("metadata", [{"model": "tinydet"}, "x", [], {"model": WHOLE}], ids=str)
def test_metadata_of_another_kind(metadata: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "w.safetensors", safetensors_file(metadata))
    assert detect_with(path, tmp_path)[0] == 2


def test_metadata_nested_deep(tmp_path: Path) -> None:
    tensors = build_tinydet(TinyDetConfig(), seed=0).state_dict()
    path = write(tmp_path / "w.safetensors", save_tensors(tensors, {METADATA_KEY: DEEP}))
    assert detect_with(path, tmp_path)[0] == 2


@pytest.mark.parametrize("provenance", [DEEP, '{"command": 5}', '{"command": [[]]}', "[]"])
def test_provenance_that_is_no_such_thing(provenance: str, tmp_path: Path) -> None:
    """Says nothing of how weights were made."""
    tensors = build_tinydet(TinyDetConfig(), seed=0).state_dict()
    metadata = {METADATA_KEY: dumped(WHOLE), "provenance": provenance}
    code, said = detect_with(
        write(tmp_path / "w.safetensors", save_tensors(tensors, metadata)), tmp_path
    )
    assert code == 0
    assert "made by" not in said


def test_provenance_and_version_are_escaped(tmp_path: Path) -> None:
    tensors = build_tinydet(TinyDetConfig(), seed=0).state_dict()
    made = dumped({"command": ESCAPES, "seed": 1, "commit": ESCAPES, "note": ESCAPES})
    metadata = {METADATA_KEY: dumped(WHOLE), "provenance": made}
    path = write(tmp_path / "w.safetensors", save_tensors(tensors, metadata))
    code, said = detect_with(path, tmp_path)
    assert code == 0
    assert r"made by: \x1b]0;owned\x07\nendoforge: error: forged" in said


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("resolution", [60000, 60000], "--resolution 60000x60000: each side must be 64 to 4096"),
        ("resolution", [1, 1], "--resolution 1x1: each side must be 64 to 4096"),
        ("resolution", [1e400, 64], "m.json"),
        ("resolution", [64], "m.json"),
        ("run_index", -1, "--run-range -1:0: expected two whole numbers such as 0:10"),
        ("run_index", 10**400, "--run-range"),
        ("base_seed", -1, "--seed -1: must be between 0"),
        ("renderer", "gpu\n", r"no renderer is called gpu\n"),
        ("save", 5, "m.json"),
        ("randomization", {"motion": {"inspection_s": [1e5, 1e5]}}, "motion.inspection_s"),
        ("max_frames", -1, "--max-frames -1: must be a whole number, 1 or more"),
        ("max_frames", 0, "--max-frames 0: must be a whole number, 1 or more"),
    ],
)
def test_a_manifest_keeps_the_bounds_of_the_flags(
    name: str, value: Any, limit: str, tmp_path: Path
) -> None:
    ours = {
        "version": "1", "renderer": "cpu", "resolution": [64, 64], "save": [], "base_seed": 1,
        "run_index": 0, "randomization": {},
    }  # fmt: skip
    manifest = MANIFEST | {"endoforge": ours}
    (manifest if name in manifest else ours)[name] = value
    path = write(tmp_path / "m.json", dumped(manifest))
    code, said = call(
        ["datagen", "--from-manifest", str(path), "--output-root", f"{tmp_path}/out"], tmp_path
    )
    assert code == 2
    assert limit in said


def test_runs_that_no_disk_holds(tmp_path: Path) -> None:
    words = ["datagen", "--seed", "1", "--output-root", f"{tmp_path}/out"]
    code, said = call([*words, "--run-range", "0:99999999999999"], tmp_path)
    assert (code, "at most 1,000,000 runs at once" in said) == (2, True)
    code, said = call([*words, "--runs", "99999999999999"], tmp_path)
    assert (code, "must be at most 1,000,000" in said) == (2, True)
    assert call([*words, "--run-range", f"0:{'9' * 5000}"], tmp_path)[0] == 2


@pytest.mark.parametrize("base_seed", [[], {}, "1", None])
def test_a_run_to_resume_whose_manifest_is_strange(base_seed: Any, tmp_path: Path) -> None:
    manifest = MANIFEST | {"endoforge": {"base_seed": base_seed, "run_index": []}}
    write(tmp_path / "out/run_1/run_manifest.json", dumped(manifest))
    words = ["datagen", "--resume", "--output-root", f"{tmp_path}/out"]
    code, said = call(words, tmp_path)
    assert code == 2
    assert "no unfinished run" in said


RANGES = {
    "an inspection of days": "[motion]\ninspection_s = [1e5, 1e5]",
    "a billion pauses": "[motion]\npauses_per_min = [1e9, 1e9]",
    "a crawl": "[motion]\nwithdrawal_mm_s = [1e-3, 1e-3]",
    "infinity": "[motion]\njitter_deg = [0.0, inf]",
    "much noise": "[camera]\nshot_noise = [1e300, 1e300]",
    "nested deep": "a = " + "[" * 5000,
    "a long number": "[motion]\njitter_deg = [0, " + "9" * 5000 + "]",
    "a long name": "[" + "x" * 10**5 + "]",
}


@pytest.mark.parametrize("text", RANGES.values(), ids=RANGES.keys())
def test_ranges_that_no_run_can_bear(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "r.toml", text)
    code, said = call(["datagen", "--randomization", str(path), "--print-randomization"], tmp_path)
    assert code == 2
    assert "r.toml" in said


YAMLS = {
    "aliases": "a: &a [x, x]\n"
    + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True))
    + "names: {0: *j}",
    "nested deep": "names: " + "[" * 20_000,
    "infinity": "names: {.inf: a}",
    "a long number": "names: {" + "1" * 5000 + ": a}",
    "a null": 'names: ["a\\0"]',
    "half a character": 'names: ["\\ud800"]',
    "a long name": "names: [" + "a" * 10**5 + "]",
    "megabytes": "names: [" + "a" * 10**7 + "]",
}


@pytest.mark.parametrize("text", YAMLS.values(), ids=YAMLS.keys())
def test_names_in_yaml(text: str, tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", PICTURE)
    write(tmp_path / "labels/a.txt", YOLO)
    write(tmp_path / "data.yaml", text)
    code, said = import_of(tmp_path, "yolo")
    assert code == 2
    assert "data.yaml" in said


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("images", 0, "width"), 10**400),
        (("images", 0, "height"), -(10**400)),
        (("images", 0, "id"), "1" * 5000),
        (("annotations", 0, "bbox"), [10**400, 0, 1, 1]),
        (("annotations", 0, "image_id"), "9" * 5000),
        (("categories", 0, "name"), "x" * 10**6),
        (("categories", 0, "name"), "a\0"),
        (("images", 0, "file_name"), "x" * 10**6),
    ],
)
def test_coco(place: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    dataset: Any = json.loads(dumped(COCO))
    inner = dataset
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    write(tmp_path / "images/a.png", PICTURE)
    path = write(tmp_path / "coco.json", dumped(dataset))
    code, said = import_of(tmp_path, "coco", "--annotations", str(path))
    is_left_out = place[-1] in ("id", "image_id")  # annotations of images that aren't listed
    assert (code, len(said) < 10_000) == (0 if is_left_out else 2, True)


def test_numbers_in_names_of_pictures_may_be_of_any_length(tmp_path: Path) -> None:
    members = {f"{'7' * 5000}.png": PICTURE, f"{'8' * 5000}.png": PICTURE}
    write(tmp_path / "images/s.tar", tar(members))
    assert import_of(tmp_path, "webdataset", "--unlabelled", "background")[0] == 0


def tar(members: dict[str, bytes], prefix: str = "") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


TAR_LABEL = dumped(LABEL | {"width": 64, "height": 48}).encode()
PAIR = {"a.png": PICTURE, "a.json": TAR_LABEL}


def test_a_tar_file_of_tar_itself_is_read(tmp_path: Path) -> None:
    """`tar cf s.tar .`, on a Mac."""
    members = write(tmp_path / "members/r/a.png", PICTURE).parent
    write(members / "a.json", TAR_LABEL)
    write(members / "._a.png", b"\0\5\x16\7 Mac OS X")
    write(members / ".DS_Store", b"x")
    (tmp_path / "images").mkdir()
    with tarfile.open(tmp_path / "images/s.tar", "w") as archive:
        archive.add(tmp_path / "members", ".")
    code, said = import_of(tmp_path, "webdataset")
    assert code == 0
    assert "1 run, 1 frame came in" in said
    assert "x picture" not in said
    assert "x label" not in said


@pytest.mark.parametrize("width", [10**400, 10**300, -1])
def test_a_label_in_a_tar_file_with_a_side_that_no_picture_has(width: int, tmp_path: Path) -> None:
    label = dumped(LABEL | {"width": width, "height": 48}).encode()
    others = {"b.png": PICTURE, "b.json": TAR_LABEL}
    write(tmp_path / "images/s.tar", tar({"a.png": PICTURE, "a.json": label, **others}))
    code, said = import_of(tmp_path, "webdataset")
    assert code == 0
    assert "1 x picture: label isn't of a capture run, such as a.png" in said


def sparse(name: str, claimed: int) -> bytes:
    """A member of the old GNU kind that is a hole of `claimed` bytes."""
    member = tarfile.TarInfo(name)
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"%011o\0" % claimed
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize("hole", ["a.json", "a.png"])
def test_members_with_holes_are_left_out_with_what_belongs_to_them(
    hole: str, tmp_path: Path
) -> None:
    other = {name: data for name, data in PAIR.items() if name != hole}
    pair = tar({**other, "b.png": PICTURE, "b.json": TAR_LABEL})
    write(tmp_path / "images/s.tar", sparse(hole, 8**10) + pair)
    code, said = import_of(tmp_path, "webdataset", "--unlabelled", "background")
    assert code == 0
    assert "1 frame came in" in said
    assert "1 x picture: stored with holes" in said


def pax_headers(count: int) -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 12
    return (member.tobuf(tarfile.USTAR_FORMAT) + b"12 path=abc\n".ljust(512, b"\0")) * count


def claiming(size: int) -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "head",
    [pax_headers(3000), claiming(2**40), claiming(-512), claiming(-(2**62))],
    ids=["3,000 headers", "a header of a terabyte", "going back", "going far back"],
)
def test_headers_of_tar_files(head: bytes, tmp_path: Path) -> None:
    write(tmp_path / "images/s.tar", head + tar(PAIR))
    code, said = import_of(tmp_path, "webdataset")
    assert code == 2
    assert "s.tar" in said


def test_a_member_that_leads_back_to_itself(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a.png")
    member.size = -512
    write(tmp_path / "images/s.tar", member.tobuf(tarfile.GNU_FORMAT) + tar(PAIR))
    assert import_of(tmp_path, "webdataset")[0] == 2


def test_xml_nested_deep_and_of_a_slow_codec(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", PICTURE)
    write(tmp_path / "images/b.png", PICTURE)
    write(tmp_path / "images/c.png", PICTURE)
    write(tmp_path / "Annotations/a.xml", "<annotation>" + "<a>" * 500_000)
    codec = "<?xml version='1.0' encoding='punycode'?>"
    write(tmp_path / "Annotations/b.xml", codec + "-" + "z9" * 300_000)
    write(tmp_path / "Annotations/c.xml", VOC.format(name="polyp"))
    code, said = import_of(tmp_path, "voc")
    assert code == 0
    assert "2 x picture: label malformed" in said


def test_numbers_of_frames_that_no_float_holds(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", PICTURE)
    entry = {"id": 1, "file_name": "a.png", "video_id": 1, "frame_id": 10**400, "seconds": 10**400}
    videos = [{"id": 1, "name": "v", "fps": 1e-320}]
    said = {"images": [entry], "annotations": [], "categories": [], "videos": videos}
    path = write(tmp_path / "coco.json", dumped(said))
    assert import_of(tmp_path, "coco", "--annotations", str(path))[0] == 0


@pytest.mark.parametrize("kind", ["coco", "yolo", "voc", "cvat", "mot", "webdataset", "parquet"])
def test_names_of_classes_are_escaped_where_they_go(kind: str, tmp_path: Path) -> None:
    label = LABEL | {"polyp_labels": [POLYP | {"label": ESCAPES}]}
    write_run(tmp_path, dumped(label))
    code, said = call(
        ["convert", "--format", kind, f"{tmp_path}/runs", f"{tmp_path}/out"], tmp_path
    )
    assert code == 0
    assert r"\x1b]0;owned\x07\nendoforge: error: forged" in said


@pytest.mark.parametrize("name", ["a\0", "x" * 10**6])
def test_names_of_classes_that_none_can_have(name: str, tmp_path: Path) -> None:
    write_run(tmp_path, dumped(LABEL | {"polyp_labels": [POLYP | {"label": name}]}))
    code, said = call(
        ["convert", "--format", "yolo", f"{tmp_path}/runs", f"{tmp_path}/out"], tmp_path
    )
    assert code == 0
    assert "1 x frame: label malformed" in said


def test_a_label_nested_deep(tmp_path: Path) -> None:
    write_run(tmp_path, DEEP)
    code, said = call(
        ["convert", "--format", "yolo", f"{tmp_path}/runs", f"{tmp_path}/out"], tmp_path
    )
    assert code == 0
    assert "1 x frame: label malformed" in said
    [row] = Library(tmp_path / "runs").runs()["runs"]
    assert (row["frames"], row["boxes"]) == (2, 2)


@pytest.mark.parametrize("started", ["NaN", "Infinity", "1e999"])
def test_a_start_that_is_no_time(started: str, tmp_path: Path) -> None:
    manifest = dumped(MANIFEST).replace('"started_at_unix": 0.0', f'"started_at_unix": {started}')
    write_run(tmp_path, dumped(LABEL), manifest)
    [row] = Library(tmp_path / "runs").runs()["runs"]
    assert row["started_at_unix"] is None
    assert row["seed"] == "1"


@pytest.mark.parametrize("image", ["a\0b.png", "x" * 5000 + ".png", "images"])
def test_a_thumbnail_of_a_path_that_is_none(image: str, tmp_path: Path) -> None:
    write_run(tmp_path, dumped(LABEL | {"image": image}))
    with pytest.raises(NotThere):
        Library(tmp_path / "runs").thumbnail("run_1", 0, width=64, overlay=False)


STATUS = {
    DEEP: None,
    "[" * 900 + "]" * 900: None,
    '{"a":' + "[" * 100 + "]" * 100 + "}": None,
    '{"loss": 1e999, "lr": NaN, "note": "\\ud800"}': {
        "loss": None, "lr": None, "note": "\\ud800",
    },
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), STATUS.items(), ids=["deep", "list", "in it", "NaN"])
def test_a_status_that_no_browser_reads(text: str, expected: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "status.json", text)
    assert read_status(path) == expected
    assert read_metrics(path) == ([expected] if expected else [])


def test_a_status_of_numbers_that_no_training_has(tmp_path: Path) -> None:
    status = {"epoch": 1, "step": 10**400, "steps_per_epoch": 2, "loss": 1.0}
    path = write(tmp_path / "status.json", dumped(status))
    watch = TrainingWatch(str(path), f"{tmp_path}/none")
    watch.sample()
    write(path, dumped(status | {"step": 1, "loss": 10**400}))
    watch.sample()
    assert watch.as_json()["losses"] == []


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")


def make_pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


@needs_pipes
@pytest.mark.parametrize(
    "place", ["run_manifest.json", "labels/frame_00000.json", "images/frame_00000.png"]
)
@pytest.mark.parametrize("command", ["convert", "prune-empty", "overlay-labels"])
def test_pipes_in_a_run(command: str, place: str, tmp_path: Path) -> None:
    run = write_run(tmp_path, dumped(LABEL))
    make_pipe(run / place)
    words = {
        "convert": ["--format", "yolo", f"{tmp_path}/runs", f"{tmp_path}/out"],
        "prune-empty": ["--input", f"{tmp_path}/runs", "--output", f"{tmp_path}/out"],
        "overlay-labels": [str(run), f"{tmp_path}/out"],
    }
    code, said = call([command, *words[command]], tmp_path)
    assert code == 0
    assert "1 x " in said
    library = Library(tmp_path / "runs")
    assert library.runs()["runs"][0]["frames"] == 2
    if place != "run_manifest.json":
        with pytest.raises(NotThere):
            library.thumbnail("run_1", 0, width=64, overlay=True)


@needs_pipes
@pytest.mark.parametrize(
    ("kind", "files", "pipe"),
    [
        ("yolo", ["images/a.png", "labels/a.txt", "classes.txt"], "classes.txt"),
        ("coco", ["images/a.png"], "coco.json"),
        ("webdataset", ["images/a.png"], "images/s.tar"),
    ],
)
def test_pipes_in_other_formats(kind: str, files: list[str], pipe: str, tmp_path: Path) -> None:
    for name in files:
        write(tmp_path / name, PICTURE if name.endswith(".png") else YOLO)
    make_pipe(tmp_path / pipe)
    flag = {"yolo": "--names", "coco": "--annotations"}.get(kind)
    assert import_of(tmp_path, kind, *([flag, f"{tmp_path}/{pipe}"] if flag else []))[0] == 2


@needs_pipes
def test_pipes_of_flags(tmp_path: Path) -> None:
    pipe = make_pipe(tmp_path / "pipe.safetensors")
    write_run(tmp_path, dumped(LABEL))
    for words in (
        ["datagen", "--from-manifest", str(pipe)],
        ["datagen", "--randomization", str(pipe), "--print-randomization"],
        ["detect", f"{tmp_path}/runs", "--checkpoint", str(pipe), "--output", f"{tmp_path}/out"],
        [
            "convert", "--format", "coco", "--split-manifest", str(pipe), f"{tmp_path}/runs",
            f"{tmp_path}/out",
        ],
    ):  # fmt: skip
        assert call(words, tmp_path)[0] == 2
    assert read_status(pipe) is None
    assert read_metrics(pipe) == []


def test_a_report_on_a_folder_that_is_not_utf8(lively: Path, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system has no such names")
    write_run(folder, dumped(LABEL | {"polyp_labels": [POLYP | {"label": "flat"}]}))
    words = ["--checkpoint", str(lively), "--input-root", f"{folder}/runs", "--device", "cpu"]
    code, said = call(["eval", *words, "--report", f"{tmp_path}/out"], tmp_path)
    assert code == 0, said
    assert (tmp_path / "out").is_dir()


def png_of(width: int, height: int) -> bytes:
    """A black picture of one bit a pixel, packed well."""
    rows = zlib.compressobj(9)
    row = bytes(1 + width // 8)
    data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def in_a_process(lines: list[list[str]]) -> list[tuple[int, str, int]]:
    """Of commands, one after another in a process of its own: of each the exit code, what it said,
    and the most memory in kB that the process had until then. `getrusage` won't do: of a process
    that was forked it counts what the one before it had.
    """
    code = (
        "import json, sys; from pathlib import Path; from endoforge import cli\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    code = cli.run(words)\n"
        "    status = Path('/proc/self/status').read_text()\n"
        "    print('kB', code, status.split('VmHWM:')[1].split()[0])\n"
        "    print('---', flush=True)\n"
        "    print('---', flush=True, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(lines)], capture_output=True, text=True, timeout=600
    )
    outs, errors = (said.split("---\n") for said in (done.stdout, done.stderr))
    assert len(outs) == len(errors) == len(lines) + 1, done.stderr
    results = []
    for out, error in zip(outs[:-1], errors, strict=False):
        ended, kilobytes = map(int, out.split("kB")[-1].split())
        results.append((ended, out + error, kilobytes))
    return results


BIG = {
    "a picture": lambda run: write(run / "images/frame_00000.png", png_of(30_000, 30_000)),
    "a picture that only OpenCV reads": lambda run: write(
        run / "images/frame_00000.png", b"P6\n32000 32000\n255\n"
    ),
    "a label of eight million faults": lambda run: write(
        run / "labels/frame_00000.json",
        dumped(LABEL | {"polyp_labels": []}).replace("[]", "[" + "1," * 7_000_000 + "1]"),
    ),
    "a label of a gigabyte": lambda run: (
        (run / "labels/frame_00000.json").open("wb").truncate(10**9)
    ),
    "a manifest of a terabyte": lambda run: (run / "run_manifest.json").open("wb").truncate(10**12),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in kB there")
@pytest.mark.parametrize("command", ["overlay-labels", "detect"])
def test_large_files_take_little_memory(command: str, tmp_path: Path) -> None:
    """The first that takes more is named."""
    lines = []
    for name, spoil in BIG.items():
        run = write_run(tmp_path / name, dumped(LABEL))
        spoil(run)
        out = f"{tmp_path / name}/out"
        words = {
            "overlay-labels": [str(run), out],
            "detect": [str(run), "--detector", "heuristic", "--output", out],
        }
        lines.append([command, *words[command]])
    for name, (code, said, kilobytes) in zip(BIG, in_a_process(lines), strict=True):
        assert code == 0, (name, said)
        assert "Traceback" not in said, name
        assert kilobytes < MOST_KB, name


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in kB there")
def test_states_and_weights_take_little_memory(tmp_path: Path) -> None:
    deep, long = tmp_path / "deep.safetensors", tmp_path / "long.safetensors"
    metadata = WHOLE | {"model": WHOLE["model"] | {"depths": [10**8, 1, 1]}}
    write(deep, safetensors_file(metadata))
    with long.open("wb") as file:
        file.write(struct.pack("<Q", 99_000_000))
        file.truncate(10**12)
    write(tmp_path / "a.png", PICTURE)
    words = ["detect", f"{tmp_path}/a.png", "--output", f"{tmp_path}/out"]
    lines = [[*words, "--checkpoint", str(path)] for path in (deep, long)]
    for code, _, kilobytes in in_a_process(lines):
        assert (code, kilobytes < MOST_KB) == (2, True)


@pytest.mark.slow
def test_a_stop_ends_long_baking_soon(tmp_path: Path) -> None:
    """The longest runs that ranges allow, many at once."""
    ranges = write(
        tmp_path / "r.toml",
        "[polyps]\ncount = [24, 24]\n[motion]\ninsertion_mm_s = [1, 1]\nwithdrawal_mm_s = [1, 1]\n"
        "pauses_per_min = [60, 60]\ninspection_s = [120, 120]\n",
    )
    words = ["datagen", "--seed", "1", "--runs", "64", "--workers", "8", "--renderer", "cpu"]
    more = ["--randomization", str(ranges), "--output-root", str(tmp_path / "out")]
    command = [sys.executable, "-m", "endoforge", *words, *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "base seed" not in process.stderr.readline():
            pass
        time.sleep(3)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert process.returncode == 130


def test_a_state_of_strides(tmp_path: Path) -> None:
    """`train` says in one line that a state can't be used; `test_checkpoint` has more of them."""
    run = write_run(tmp_path, dumped(LABEL))
    write(run / "images/frame_00001.png", PICTURE + b"another")
    folder = tmp_path / "out"
    folder.mkdir()
    torch.save({"format": 3, "state": torch.zeros(1).expand(10**12)}, folder / "tinydet_state.pt")
    words = ["--input-root", f"{tmp_path}/runs", "--ckpt-dir", str(folder), "--device", "cpu"]
    code, said = call(["train", *words, "--target-size", "64x64"], tmp_path)
    assert code == 2
    assert "tinydet_state.pt: truncated, damaged, or not a training state" in said
