"""With the cache the index is the same as without; it reads again what changed, and only that."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from endoforge.captures import index_cache, listing, run_frames
from endoforge.captures.index import index_root
from endoforge.core.errors import UserError

SETTLED_S = 0.02


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """The test's own; files settle quickly."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(listing, "SETTLED_S", SETTLED_S)
    return tmp_path / "cache/endoforge/index"


@pytest.fixture
def opened(monkeypatch):
    """Collects the labels that are opened, as run/labels/name."""
    names, read = [], run_frames._read_label

    def spy(path):
        names.append("/".join(Path(path).parts[-3:]))
        return read(path)

    monkeypatch.setattr(run_frames, "_read_label", spy)
    return names


@pytest.fixture
def root(foreign_run, make_polyp):
    """Three runs: one with something of each kind to drop, one plain, one with other folders."""
    mixed, plain, other = map(foreign_run, ("run_1", "run_2", "run_3"))
    reversed_corners = make_polyp(norm=[0.5, 0, 0.25, 1])
    mixed.frame(0, [make_polyp(px=[10, 5, 30, 15]), make_polyp()])
    mixed.frame(1, [make_polyp(norm=[0, 0, 1, 0.1]), make_polyp(norm=[0.1, 0.2, 0.3, 0.7])])
    mixed.label(2, "images/none.png", [])
    mixed.label(3, "more/frame_00003.png", [])
    mixed.image(4)
    mixed.frame(5, [reversed_corners])
    (mixed.path / "run_manifest.json").write_text("{")
    plain.frame(0, [make_polyp(norm=[0, 0, 0.5, 0.5]) | {"label": "adenoma"}])
    plain.frame(2**63, [make_polyp(norm=[0, 0, 0.5, 0.5]) | {"paris": "Is"}])
    (other.path / "pictures").mkdir()
    shutil.move(other.path / other.image(0), other.path / "pictures/frame_00000.png")
    other.label(0, "pictures/frame_00000.png", [make_polyp(norm=[0, 0, 0.5, 0.5])])
    time.sleep(2 * SETTLED_S)
    return mixed.path.parent


def contents(index):
    """All that an index says, to be compared."""
    frames = [
        (
            *(frame.key, frame.frame_id, frame.label_path, frame.image_path, frame.digest),
            *(frame.image_bytes, frame.classes, frame.boxes.tolist()),
            *(frame.boxes.shape, frame.boxes.dtype),
        )
        for frame in index.frames
    ]
    tally = index.tally
    return {
        "root": index.root,
        "runs": [(run.name, run.path, run.manifest) for run in index.runs],
        "frames": frames,
        "counts": list(tally.counts.items()),
        "examples": list(tally.examples.items()),
        "by_run": list(tally.by_run.items()),
        "lines": tally.lines(),
    }


def cached(root, **others):
    return index_root(root, cache=True, **others)


def test_the_cache_says_what_the_labels_say_and_opens_none(root, opened):
    truth = contents(index_root(root))
    assert len(truth["frames"]) == 5
    assert len(truth["counts"]) == 4
    assert contents(cached(root)) == truth
    opened.clear()
    again = cached(root)
    assert opened == []
    assert contents(again) == truth
    assert again.frames[0].boxes.dtype == np.float32


def test_both_names_of_a_class_are_kept(root, opened):
    truth = contents(index_root(root, label_field="paris"))
    assert [frame[6] for frame in truth["frames"]] == [("Is",)]
    cached(root)
    opened.clear()
    assert contents(cached(root, label_field="paris")) == truth
    assert contents(cached(root)) == contents(index_root(root))
    assert len(opened) == 8  # of the index without a cache


def test_without_asking_there_is_no_cache(root, opened, cache_folder):
    index_root(root)
    index_root(root)
    assert len(opened) == 2 * 8
    assert not cache_folder.exists()


def rewrite(path, old, new):
    """Other bytes of the same number, and the same mtime: only ctime tells."""
    before = path.stat()
    data = path.read_bytes()
    assert len(old) == len(new)
    assert old in data
    path.write_bytes(data.replace(old, new))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit_a_label(run):
    rewrite(run / "labels/frame_00001.json", b"0.3", b"0.4")


def add_a_label(run):
    text = (run / "labels/frame_00001.json").read_text()
    (run / "labels/frame_00004.json").write_text(text.replace("00001", "00004"))


def remove_a_label(run):
    (run / "labels/frame_00001.json").unlink()


def remove_an_image(run):
    (run / "images/frame_00001.png").unlink()


def replace_an_image(run):
    image = run / "images/frame_00000.png"
    image.with_name("new.png").write_bytes(image.read_bytes() + b" ")
    image.with_name("new.png").replace(image)


def add_an_image_in_a_folder_that_was_not_there(run):
    (run / "more").mkdir()
    shutil.copy(run / "images/frame_00000.png", run / "more/frame_00003.png")


def move_the_images_out_of_the_run(run):
    shutil.move(run / "images", run.parent / "elsewhere")
    (run / "images").symlink_to(run.parent / "elsewhere")


@pytest.mark.parametrize(
    "change",
    [
        edit_a_label,
        add_a_label,
        remove_a_label,
        remove_an_image,
        replace_an_image,
        add_an_image_in_a_folder_that_was_not_there,
        move_the_images_out_of_the_run,
    ],
)
def test_a_change_is_noticed_and_only_its_run_is_read_again(root, opened, change):
    before = contents(cached(root))
    change(root / "run_1")
    truth = contents(index_root(root))
    assert truth != before
    opened.clear()
    assert contents(cached(root)) == truth
    assert {name.split("/")[0] for name in opened} == {"run_1"}
    time.sleep(2 * SETTLED_S)
    cached(root)
    opened.clear()
    assert contents(cached(root)) == truth
    assert opened == []


def test_an_image_of_the_same_size_and_mtime_is_noticed(root, opened):
    cached(root)
    opened.clear()
    rewrite(root / "run_2/images/frame_00000.png", b"IEND", b"IENE")
    cached(root)
    assert {name.split("/")[0] for name in opened} == {"run_2"}


def test_an_image_removed_from_another_folder_is_noticed(root):
    assert cached(root).frames[-1].run == "run_3"
    (root / "run_3/pictures/frame_00000.png").unlink()
    index = cached(root)
    assert index.frames[-1].run == "run_2"
    assert index.tally.by_run["frame: image missing", "run_3"] == 1


def test_a_changed_manifest_is_noticed(root):
    manifest = root / "run_2/run_manifest.json"
    malformed = "run: manifest malformed (its frames are kept)", "run_2"
    assert cached(root).tally.by_run[malformed] == 0
    rewrite(manifest, b'"seed"', b"'seed'")
    assert cached(root).tally.by_run[malformed] == 1
    time.sleep(2 * SETTLED_S)
    cached(root)
    rewrite(manifest, b"'seed'", b'"seed"')
    assert cached(root).tally.by_run[malformed] == 0
    manifest.unlink()
    assert contents(cached(root)) == contents(index_root(root))


def test_runs_come_and_go(root, opened, cache_folder):
    cached(root)
    shutil.copytree(root / "run_2", root / "run_10")
    shutil.rmtree(root / "run_1")
    opened.clear()
    time.sleep(2 * SETTLED_S)
    assert contents(cached(root)) == contents(index_root(root))
    assert [run.name for run in cached(root).runs] == ["run_2", "run_3", "run_10"]
    kept = json.loads(next(cache_folder.iterdir()).read_bytes().partition(b"\n")[2])
    assert set(kept) == {"run_2", "run_3", "run_10"}


def test_a_run_that_changed_a_moment_ago_is_not_kept(root, opened, monkeypatch):
    monkeypatch.setattr(listing, "SETTLED_S", 60)
    cached(root)
    opened.clear()
    cached(root)
    assert len(opened) == 8


def test_a_run_with_links_is_not_kept(root, opened):
    image = root / "run_2/images/frame_00000.png"
    image.rename(image.with_name("real.png"))
    image.symlink_to("real.png")
    time.sleep(2 * SETTLED_S)
    truth = contents(cached(root))
    opened.clear()
    assert contents(cached(root)) == truth
    assert {name.split("/")[0] for name in opened} == {"run_2"}


def flip(data):
    return data[:-30] + bytes([data[-30] ^ 1]) + data[-29:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"not ours",
        lambda data: data[: len(data) // 2],
        flip,
        lambda data: data.replace(b'"format": 3', b'"format": 2'),
        lambda data: data.replace(b"captures", b"recaptur"),
    ],
)
def test_a_damaged_or_foreign_cache_is_replaced(root, opened, cache_folder, damage):
    truth = contents(cached(root))
    (kept,) = cache_folder.iterdir()
    good = kept.read_bytes()
    kept.write_bytes(damage(good))
    assert kept.read_bytes() != good
    opened.clear()
    assert contents(cached(root)) == truth
    assert len(opened) == 8
    assert kept.read_bytes() == good


def change(*place, to):
    def forge(runs):
        for name in place[:-1]:
            runs = runs[name]
        runs[place[-1]] = to

    return forge


FORGERIES = {
    "no signature": lambda runs: runs["run_2"].pop("signature"),
    "no boxes": lambda runs: runs["run_2"].pop("boxes"),
    "no run": change("run_2", to=None),
    "a run that is a list": change("run_2", to=[]),
    "an image that leaves the run": change("run_2", "images", 0, to="../run_1/images/x.png"),
    "an absolute image": change("run_2", "images", 0, to="/etc/passwd"),
    "an image that isn't there": change("run_2", "images", 0, to="images/x.png"),
    "a label that leaves the run": change("run_2", "labels", 0, to="labels/../../x.json"),
    "a size that is another": change("run_2", "image_bytes", 0, to=3),
    "a class that is a number": change("run_2", "class_lists", 0, to=[5]),
    "a place that isn't there": change("run_2", "classes", 0, to=99),
    "a negative place": change("run_2", "classes", 0, to=-1),
    "a class less": lambda runs: runs["run_2"]["class_lists"][0].pop(),
    "a frame less": lambda runs: runs["run_2"]["frame_ids"].pop(),
    "boxes cut short": lambda runs: change("run_2", "boxes", to=runs["run_2"]["boxes"][:-3])(runs),
    "boxes out of the picture": change("run_2", "boxes", to="0000a0c1" * 8),
    "folders that are a number": change("run_2", "folders", to=7),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_cache_is_neither_an_error_nor_believed(root, opened, cache_folder, forge):
    truth = contents(cached(root))
    (kept,) = cache_folder.iterdir()
    good = kept.read_bytes()
    runs = json.loads(good.partition(b"\n")[2])
    forge(runs)
    body = json.dumps(runs, separators=(",", ":")).encode()
    head = json.loads(good.partition(b"\n")[0]) | {"checksum": hashlib.sha256(body).hexdigest()}
    kept.write_bytes(json.dumps(head).encode() + b"\n" + body)
    opened.clear()
    assert contents(cached(root)) == truth
    assert {name.split("/")[0] for name in opened} == {"run_2"}
    assert kept.read_bytes() == good


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[1]", b"{"])
def test_a_cache_of_another_kind_is_no_error(root, cache_folder, body):
    truth = contents(cached(root))
    (kept,) = cache_folder.iterdir()
    head = json.loads(kept.read_bytes().partition(b"\n")[0])
    head |= {"checksum": hashlib.sha256(body).hexdigest()}
    kept.write_bytes(json.dumps(head).encode() + b"\n" + body)
    assert contents(cached(root)) == truth


def test_a_cache_that_is_a_pipe_is_no_error(root, cache_folder):
    truth = contents(cached(root))
    (kept,) = cache_folder.iterdir()
    kept.unlink()
    os.mkfifo(kept)
    assert contents(cached(root)) == truth


def test_another_version_reads_anew(root, opened, monkeypatch):
    cached(root)
    opened.clear()
    monkeypatch.setattr(index_cache, "__version__", "0.0.0")
    cached(root)
    assert len(opened) == 8


def test_a_cache_that_cannot_be_written_costs_no_more_than_time(root, tmp_path, caplog):
    (tmp_path / "cache").write_text("no folder")
    with caplog.at_level("INFO"):
        assert contents(cached(root)) == contents(index_root(root))
    assert caplog.text == ""


def test_a_moved_root_is_read_anew_and_what_was_kept_of_it_goes(root, opened, cache_folder):
    cached(root)
    (before,) = cache_folder.iterdir()
    moved = root.rename(root.with_name("moved"))
    opened.clear()
    index = cached(moved)
    assert len(opened) == 8
    assert all(frame.label_path.is_relative_to(moved) for frame in index.frames)
    (after,) = cache_folder.iterdir()
    assert after != before


def test_one_run_does_not_displace_its_root(root, opened):
    cached(root)
    assert len(cached(root / "run_2").frames) == 2
    opened.clear()
    cached(root)
    cached(root / "run_2")
    assert opened == []


def test_strict_raises_for_what_was_kept_too(root, opened):
    (root / "run_1/run_manifest.json").unlink()
    cached(root / "run_1")
    opened.clear()
    cached(root / "run_1")
    assert opened == []
    with pytest.raises(UserError, match="frame: image missing") as fresh:
        index_root(root / "run_1", strict=True)
    with pytest.raises(UserError) as kept:
        cached(root / "run_1", strict=True)
    assert str(kept.value) == str(fresh.value)


def test_strict_needs_no_second_look_at_a_run_without_fault(root, opened):
    cached(root / "run_2")
    opened.clear()
    assert len(cached(root / "run_2", strict=True).frames) == 2
    assert opened == []


def test_a_cache_folder_that_is_a_link_is_not_used(root, cache_folder, tmp_path, caplog):
    victim = tmp_path / "victim"
    victim.mkdir()
    orphan = victim / f"{'0' * 32}.index"
    orphan.write_text('{"root": "/nowhere/at/all"}\n')
    cache_folder.parent.mkdir(parents=True, exist_ok=True)
    cache_folder.symlink_to(victim)
    assert contents(cached(root)) == contents(index_root(root))
    assert list(victim.iterdir()) == [orphan]
    assert f"{cache_folder} is a link to {victim}, which isn't written through" in caplog.text


def test_a_kept_index_that_is_a_link_is_not_written_through(root, cache_folder, tmp_path):
    cached(root)
    [kept] = cache_folder.iterdir()
    kept.unlink()
    kept.symlink_to(tmp_path / "victim")
    (tmp_path / "victim").write_text("years of work")
    assert contents(cached(root)) == contents(index_root(root))
    assert (tmp_path / "victim").read_text() == "years of work"
