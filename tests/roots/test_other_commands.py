"""The other commands whose roots may lie in a bucket: eval, import, convert, prune-empty."""

import json
import re

import cv2
import numpy as np
import pytest

from endoforge.captures.config import PruneConfig
from endoforge.captures.prune import prune_empty
from endoforge.cli import run
from endoforge.evaluate.config import EvalConfig
from endoforge.formats import converting
from endoforge.formats.config import ConvertConfig, ImportConfig
from endoforge.formats.converting import run_convert
from endoforge.formats.importing import run_import
from endoforge.report.eval_command import run_eval
from endoforge.roots.fetching import fetch
from endoforge.roots.putting import put_files
from tests.roots.s3 import DENIED, SLOW_DOWN
from tests.train.conftest import write_root


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    """Two runs of five frames."""
    return write_root(tmp_path_factory.mktemp("captures"), 2, 5)


@pytest.fixture(autouse=True)
def _own_roots(other_machine):
    """Each test has a cache of its own."""


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".endoforge.json"
    }


def test_eval_measures_the_same_of_a_bucket(store, captures, lively):
    store.put_folder(captures, "caps")
    store.put("ckpt/tinydet.safetensors", lively.read_bytes())
    here = run_eval(EvalConfig(input_root=str(captures), checkpoint=str(lively), device="cpu"))
    there = run_eval(
        EvalConfig(
            input_root=store.address("caps"),
            checkpoint=store.address("ckpt/tinydet.safetensors"),
            device="cpu",
        )
    )
    assert there.metrics.to_record(1) == here.metrics.to_record(1)
    assert [one.boxes.tolist() for one in there.detections] == [
        one.boxes.tolist() for one in here.detections
    ]


def test_eval_of_one_run(store, captures, lively):
    store.put_folder(captures, "caps")
    name = min(path.name for path in captures.iterdir())
    result = run_eval(
        EvalConfig(input_root=store.address(f"caps/{name}"), checkpoint=str(lively), device="cpu")
    )
    assert {frame.run for frame in result.frames} == {name}


def test_prune_empty_reads_a_bucket(store, captures, tmp_path):
    store.put_folder(captures, "caps")
    prune_empty(PruneConfig(input=str(captures), output=str(tmp_path / "one")))
    report = prune_empty(PruneConfig(input=store.address("caps"), output=str(tmp_path / "two")))
    assert report.kept == 8
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


@pytest.mark.parametrize("format", ["coco", "parquet"])
def test_convert_reads_from_a_bucket_and_writes_to_one(format, store, captures, tmp_path):
    store.put_folder(captures, "caps")
    run_convert(ConvertConfig(paths=(str(captures), str(tmp_path / "out")), format=format))
    paths = (store.address("caps"), store.address("out"))
    report = run_convert(ConvertConfig(paths=paths, format=format))
    assert report.lines()[0].startswith(f"{store.address('out')}: {format}, 2 runs, 10 frames")
    there = contents(fetch(store.address("out"), "--root"))
    assert there == contents(tmp_path / "out")


def test_a_convert_that_cannot_be_put_leaves_nothing_there(store, captures, monkeypatch, capsys):
    monkeypatch.setattr("endoforge.roots.bucket.PATIENCE_S", 0.05)
    store.faults.always(SLOW_DOWN, "PUT", "frame_00003")

    def put_beside_another(*given, **more):
        store.put("coco/theirs", b"of somebody else")
        put_files(*given, **more)

    monkeypatch.setattr(converting, "put_files", put_beside_another)
    words = ["convert", str(captures), store.address("coco"), "--format", "coco"]
    assert run(words) == 2
    assert "the server puts off every request" in capsys.readouterr().err
    assert store.names("coco/") == {"coco/theirs"}
    store.remove("coco/theirs")
    monkeypatch.setattr(converting, "put_files", put_files)
    store.faults.clear()
    assert run(words) == 0
    assert run(words) == 2
    assert "holds 11 objects; name a new place" in capsys.readouterr().err


def pictures(folder):
    """Two folders of a picture each, with masks."""
    for group in ("one", "two"):
        for kind in ("images", "masks"):
            (place := folder / kind / group).mkdir(parents=True)
            shade = np.zeros((64, 96, 3), np.uint8)
            shade[10:30, 20:50] = 255 if kind == "masks" else 90
            cv2.imwrite(str(place / "a.png"), shade)
    return {
        "format": "masks",
        "images": str(folder / "images"),
        "annotations": str(folder / "masks"),
    }


def labels(folder):
    return [
        json.loads(path.read_bytes())["polyp_labels"]
        for path in sorted(folder.rglob("labels/*.json"))
    ]


def test_import_puts_runs_and_knows_them_again_on_another_machine(
    store, tmp_path, other_machine, monkeypatch
):
    sources = pictures(tmp_path / "pictures")
    run_import(ImportConfig(**sources, output_root=str(tmp_path / "here-too")))
    there = ImportConfig(**sources, output_root=store.address("real"))
    with monkeypatch.context() as patch:
        patch.setattr("endoforge.roots.bucket.PATIENCE_S", 0.05)
        store.faults.always(SLOW_DOWN, "PUT", "labels")
        with pytest.raises(Exception, match=r"the server puts off every request"):
            run_import(there)
    store.faults.clear()
    report = run_import(there)
    assert [run.frames + run.there for run in report.runs] == [1, 1]
    other_machine("there")
    again = run_import(there)
    assert [(run.frames, run.there) for run in again.runs] == [(0, 1), (0, 1)]
    assert labels(fetch(store.address("real"), "--root")) == labels(tmp_path / "here-too")
    assert len({name.split("/")[1] for name in store.names("real/")}) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("overlay-labels ADDRESS", "is for folders and files of this machine"),
        ("detect ADDRESS", "no known kind of stream; there are rtsp"),
        ("detect x.png --output ADDRESS", "--output .* is for folders and files of this machine"),
        ("select ADDRESS --output a.json", "is for folders and files of this machine"),
        ("demo --output-root ADDRESS", "--output-root .* is for folders and files of this"),
        ("sim-view --output-root ADDRESS", "--output-root .* is for folders and files of this"),
        ("sim-view --checkpoint ADDRESS", "sim-view reads files of this machine: copy it here"),
        ("prune-empty --output ADDRESS", "must be a folder of this machine; name one"),
        ("eval --report ADDRESS", "--report .* is for folders and files of this machine"),
        ("eval --input-root ftp://a/b", "no known kind of root; there are s3://, gs://, az://"),
        ("export --checkpoint ADDRESS", "give --output too, the file to write"),
        ("import --video a.mp4 --prelabel --output-root ADDRESS", "--prelabel writes to folders"),
        ("datagen --output-root ADDRESS/../x", "has an empty part, or one of dots"),
    ],
)
def test_where_addresses_are_not_taken_they_are_refused(words, said, tmp_path, monkeypatch, capsys):
    """In one line, and no folder of the name `s3:` is made."""
    monkeypatch.chdir(tmp_path)
    assert run(words.replace("ADDRESS", "s3://bucket/place").split()) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(said, line)
    assert not list(tmp_path.glob("s3*"))


def test_a_write_that_is_denied_is_said_first(store, tmp_path, capsys):
    store.faults.always(DENIED, "PUT")
    sources = pictures(tmp_path / "pictures")
    words = [f"--{name}={value}" for name, value in sources.items()]
    assert run(["import", *words, "--output-root", store.address("real")]) == 2
    assert "these credentials may not write there" in capsys.readouterr().err
