"""Parquet out: every row is what the run says, in columns of types that others' readers know."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.core.errors import UserError
from endoforge.data.split import Split, save_split
from endoforge.formats import converting, parquet
from endoforge.formats.columns import TABLES
from endoforge.formats.config import ConvertConfig
from endoforge.formats.converting import run_convert

from .conftest import picture_bytes
from .tubes import LENS, record

pq = pytest.importorskip("pyarrow.parquet")

DOCS = Path(__file__).parents[2] / "docs/tables.md"


def convert(*runs, out="out", **settings):
    folder = index_root(runs[0]).root.with_name(out)
    paths = (*map(str, runs), str(folder))
    return run_convert(ConvertConfig(format="parquet", paths=paths, **settings)), folder


def rows(folder, name):
    return pq.read_table(folder / f"{name}.parquet").to_pylist()


@pytest.fixture
def captures(tmp_path, make_run):
    """Two runs: one of boxes on its first frame alone, one of a name that isn't ASCII."""
    make_run(
        tmp_path / "captures",
        [[("polyp", (3, 4, 20, 30), 5), ("поліп", (0.5, 0, 64, 48))], [], []],
        seconds=[0, 0.04, 0.08],
    )
    run = make_run(tmp_path / "captures", [[("polyp", (1, 2, 3, 4))]])
    run.rename(run.with_name("run_дослід"))
    return tmp_path / "captures"


def test_rows_are_the_records_of_the_runs(captures):
    report, out = convert(captures)
    assert report.lines()[0] == f"{out}: parquet, 2 runs, 4 frames, 3 boxes"
    records = index_root(captures).frames
    frames, boxes = rows(out, "frames"), rows(out, "boxes")
    assert [(one["run"], one["frame"], one["sim_time"]) for one in frames] == [
        (record.run, record.label_path.stem, record.seconds) for record in records
    ]
    assert [(captures / one["image"], captures / one["label"]) for one in frames] == [
        (record.image_path, record.label_path) for record in records
    ]
    assert {(one["width"], one["height"]) for one in frames} == {(64, 48)}
    assert frames[-1]["run"] == "run_дослід"
    expected = [
        (record.run, record.frame_id, name, polyp_id, (box * [64, 48, 64, 48]).tolist())
        for record in records
        for name, polyp_id, box in zip(
            record.classes, record.polyp_ids, record.boxes.astype(float), strict=True
        )
    ]
    assert expected == [
        (
            b["run"],
            b["frame_id"],
            b["class"],
            b["polyp_id"],
            [b[e] for e in ("x0", "y0", "x1", "y1")],
        )
        for b in boxes
    ]
    assert rows(out, "unseen") == []


def test_frames_without_a_polyp_are_rows_and_pictures_without_a_label_are_counted(captures):
    """Nobody has said of the second kind that it shows none."""
    run = index_root(captures).runs[0].path
    (run / "labels/frame_00002.json").unlink()
    report, out = convert(captures)
    [_, without, *_] = frames = rows(out, "frames")
    assert (without["frame"], without["num_boxes"], without["num_unseen"]) == ("frame_00001", 0, 0)
    assert len(frames) == 3
    assert report.left_out.counts == {"image: no label names it": 1}


def labelled(**said):
    """A label of a polyp that is seen and one that isn't, with every field set."""
    polyp = PolypLabel(
        center_world=(1.5, 2.5, -3.5),
        bbox_px=(3, 4, 20, 30),
        label="adenoma",
        visibility=0.75,
        paris="Isp",
        diameter_mm=6.25,
        distance_mm=31.0,
        polyp_id=9,
        source="predicted",
        score=0.875,
        reviewed=True,
    )
    hidden = polyp.model_copy(update={"bbox_px": None, "polyp_id": 12, "visibility": 0.125})
    fields = {
        "frame_id": 2**63 + 1,
        "sim_time": 0.5,
        "unix_time": 1.7e9,
        "image": image_name(0),
        "image_present": True,
        "camera_active": False,
        "polyp_seed": 2**64 - 1,
        "polyp_labels": [polyp, hidden],
        "source_image": "a/b.png",
        "source": "predicted",
        "reviewed": True,
        **said,
    }
    return FrameLabel.model_validate(fields)


def run_of(root, label):
    recorder = RunRecorder.create(root, seed=2**64 - 5, max_frames=None, extra={})
    (recorder.run_dir / "images/frame_00000.png").write_bytes(picture_bytes((64, 48)))
    text = label.model_dump_json()
    (recorder.run_dir / "labels/frame_00000.json").write_text(text)
    recorder.finish()
    return recorder.run_dir


def test_every_field_of_a_label_has_its_column(tmp_path):
    run = run_of(tmp_path / "captures", labelled())
    _, out = convert(run)
    [frame], [box], [hidden] = (rows(out, name) for name in TABLES)
    said = {name for name, value in frame.items() if value is not None}
    assert frame["frame_id"] == 2**63 + 1
    assert frame["polyp_seed"] == 2**64 - 1
    assert frame["seed"] == 2**64 - 5
    assert (frame["num_boxes"], frame["num_unseen"]) == (1, 1)
    assert (frame["sim_time"], frame["unix_time"]) == (0.5, 1.7e9)
    assert frame["source_image"] == "a/b.png"
    assert (frame["source"], frame["reviewed"], frame["awaits_review"]) == (
        "predicted", True, False,
    )  # fmt: skip
    assert frame["camera_active"] is False
    assert not said & {"position", "lens", "camera_json", "depth", "instance", "normals"}
    of_both = {
        "kind": "adenoma",
        "paris": "Isp",
        "diameter": 6.25,
        "distance": 31.0,
        "center": [1.5, 2.5, -3.5],
        "source": "predicted",
        "score": 0.875,
        "reviewed": True,
    }
    for name, value in of_both.items():
        assert box[name] == hidden[name] == value
    assert (box["polyp_id"], box["visibility"], box["class"]) == (9, 0.75, "adenoma")
    assert (hidden["polyp_id"], hidden["visibility"]) == (12, 0.125)
    assert "x0" not in hidden


def test_what_is_no_number_is_null(tmp_path):
    label = labelled(unix_time=math.inf)
    polyps = [
        polyp.model_copy(
            update={"center_world": (math.nan,) * 3, "distance_mm": math.nan, "score": math.inf}
        )
        for polyp in label.polyp_labels
    ]
    run = run_of(tmp_path / "captures", label.model_copy(update={"polyp_labels": polyps}))
    _, out = convert(run)
    [frame], [box], _ = (rows(out, name) for name in TABLES)
    assert frame["unix_time"] is None
    assert [box[name] for name in ("center", "distance", "score")] == [None] * 3


def test_poses_and_lenses_have_columns_and_cameras_of_another_form_are_json(tmp_path):
    run, course = record(tmp_path / "captures", [0, 0.04])
    path = run / "labels/frame_00001.json"
    other = {"position_mm": [1, 2, 3], "fov": 1.5}
    path.write_text(json.dumps({**json.loads(path.read_text()), "camera": other}))
    _, out = convert(run)
    ours, theirs = rows(out, "frames")
    assert ours["position"] == course[0].position.tolist()
    assert np.array_equal(np.reshape(ours["world_from_camera"], (3, 3)), course[0].axes.T)
    assert ours["s"] == course[0].s_mm
    lens = LENS.intrinsics()
    assert {name: ours[name] for name in ("fx", "fy", "cx", "cy", "k")}.items() <= lens.items()
    assert ours["lens"] == lens["model"]
    assert ours["depth"] == f"{run.name}/depth/frame_00000.png"
    assert (ours["instance"], ours["camera_json"]) == (None, None)
    assert json.loads(theirs["camera_json"]) == other
    assert theirs["position"] is None


def test_predictions_come_only_when_asked_for_and_say_so(tmp_path):
    label = labelled(reviewed=False)
    polyps = [polyp.model_copy(update={"reviewed": None}) for polyp in label.polyp_labels]
    run = run_of(tmp_path / "captures", label.model_copy(update={"polyp_labels": polyps}))
    with pytest.raises(UserError, match=r"no usable frame .*--predicted writes them"):
        convert(run)
    _, out = convert(run, predicted=True)
    assert rows(out, "frames")[0]["awaits_review"] is True
    assert rows(out, "boxes")[0]["awaits_review"] is True


def test_memory_holds_a_row_group_at_most_and_empty_tables_have_their_columns(
    captures, monkeypatch
):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2)
    _, out = convert(captures)
    assert pq.ParquetFile(out / "frames.parquet").num_row_groups == 2
    for name, columns in TABLES.items():
        schema = pq.read_schema(out / f"{name}.parquet")
        assert schema.names == [column.name for column in columns]
        for column in columns:
            notes = schema.field(column.name).metadata
            assert notes[b"description"].decode() == column.meaning
            assert notes.get(b"unit", b"").decode() == column.unit
    assert pq.read_metadata(out / "unseen.parquet").num_rows == 0


def test_paris_kinds_can_be_the_class_and_labels_stay(tmp_path):
    run = run_of(tmp_path / "captures", labelled())
    _, out = convert(run, label="paris")
    [box] = rows(out, "boxes")
    assert (box["class"], box["kind"]) == ("Isp", "adenoma")


def test_several_roots_and_the_sides_of_a_split(captures, tmp_path, make_run):
    other = make_run(tmp_path / "more", [[]])
    _, out = convert(captures, other)
    assert {one["run"] for one in rows(out, "frames")} == {
        *(run.name for run in index_root(captures).runs), other.name,
    }  # fmt: skip
    index = index_root(captures)
    save_split(tmp_path / "split.json", Split(index.frames[:3], index.frames[3:]), seed=1)
    _, out = convert(captures, out="apart", split_manifest=str(tmp_path / "split.json"))
    assert sorted(path.name for path in out.iterdir()) == ["train", "val"]
    assert [one["run"] for one in rows(out / "val", "frames")] == ["run_дослід"]
    assert len(rows(out / "train", "boxes")) == 2


def test_without_pyarrow_a_line_says_what_to_install_before_a_run_is_read(captures, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(converting, "index_root", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(UserError) as caught:
        run_convert(ConvertConfig(format="parquet", paths=(str(captures), "out")))
    assert str(caught.value) == (
        '--format parquet needs what isn\'t installed (pyarrow): pip install "endoforge[parquet]"'
    )


def test_the_columns_are_those_of_the_document():
    text = DOCS.read_text(encoding="utf-8")
    for name, columns in TABLES.items():
        found = re.search(rf"<!-- columns-of-{name} -->\n(.*?)<!-- end", text, re.DOTALL)
        assert found
        expected = "".join(
            f"| `{one.name}` | {one.type} | {one.unit} | {one.meaning} |\n" for one in columns
        )
        assert found[1].split("\n", 2)[2] == expected, f"write it so:\n{expected}"


@pytest.mark.parametrize("library", ["pandas", "duckdb"])
def test_the_documents_examples_run(library, tmp_path, monkeypatch, capsys):
    pytest.importorskip(library)
    run_of(tmp_path / "captures", labelled(frame_id=0))
    run, _ = record(tmp_path / "captures", [0])
    convert(run.parent, out="tables")
    monkeypatch.chdir(tmp_path)
    text = DOCS.read_text(encoding="utf-8")
    [example] = [one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
                 if f"import {library}" in one]  # fmt: skip
    exec(compile(example, f"docs/tables.md, {library}", "exec"), {})
    assert "adenoma" in capsys.readouterr().out
