"""Shards in: labels as other programs write them again."""

import io
import json
import tarfile

import pytest

from endoforge.core.errors import UserError

from .conftest import picture_bytes


def label(*boxes, **others):
    """Of a picture of 64 by 48 pixels; a box is in pixels."""
    polyps = [{"center_world": [0, 0, 0], "bbox_px": box} for box in boxes]
    return {
        "frame_id": 0,
        "sim_time": 0,
        "unix_time": 0,
        "image": "images/frame_00000.png",
        "image_present": True,
        "camera_active": True,
        "polyp_seed": 0,
        "polyp_labels": polyps,
        "width": 64,
        "height": 48,
        **others,
    }


@pytest.fixture
def shard(foreign):
    def bring_in(*labels, **settings):
        """A picture for each label, which is the bytes of a JSON file."""
        foreign.images.mkdir(exist_ok=True)
        with tarfile.open(foreign.images / "all-000000.tar", "w") as archive:
            for number, data in enumerate(labels):
                for suffix, content in (("png", picture_bytes((64, 48))), ("json", data)):
                    member = tarfile.TarInfo(f"run_1/frame_{number:05d}.{suffix}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        return foreign.bring_in("webdataset", **settings)

    return bring_in


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_label_in_any_unicode_encoding_is_read(foreign, shard, encoding):
    shard(json.dumps(label([10, 20, 40, 25])).encode(encoding))
    assert foreign.imported() == [[("polyp", pytest.approx([10, 20, 40, 25]))]]


@pytest.mark.parametrize(
    "unusable",
    [[40, 20, 10, 25], [10, 20, 10, 25], [None, 20, 40, 25], [70, 20, 90, 25], [0, 0.1, 0.5, 1]],
)
def test_a_picture_with_a_box_that_cant_be_used_is_left_out(foreign, shard, unusable):
    right = label([10, 20, 40, 25])
    faulty = label([1, 2, 3, 4], unusable)
    labels = [json.dumps(one).encode() for one in (right, faulty, label())]
    report = shard(*labels)
    assert foreign.imported() == [[("polyp", pytest.approx([10, 20, 40, 25]))], []]
    ((reason, number),) = report.left_out.counts.items()
    assert reason.startswith("picture: ")
    assert number == 1
    with pytest.raises(UserError, match="--strict"):
        shard(*labels, strict=True, output_root=str(foreign.root / "strict"))


def test_a_label_of_another_kind_leaves_its_picture_out(shard):
    report = shard(json.dumps(label()).encode(), b"7", json.dumps(label(width=None)).encode())
    assert report.left_out.counts == {"picture: label isn't of a capture run": 2}
    assert report.runs[0].frames == 1


def test_pixels_that_disagree_with_shares_win_and_are_counted(foreign, shard):
    edited = label([10, 20, 40, 25])
    edited["polyp_labels"][0]["bbox_norm"] = [0.5, 0.5, 1, 1]
    report = shard(json.dumps(edited).encode())
    assert foreign.imported() == [[("polyp", pytest.approx([10, 20, 40, 25]))]]
    assert report.left_out.counts == {"label: bbox_px and bbox_norm disagree (the pixels count)": 1}
    assert "frame_00000.png (box 1: 10 20 40 25, not 0.5" in report.left_out.lines()[0]


@pytest.mark.parametrize("place", ["header", "end"])
def test_a_tar_file_that_is_damaged_behind_whole_pictures_is_refused(place, foreign, shard):
    """Python's `tarfile` takes either for the end of a whole one."""
    shard(json.dumps(label()).encode(), json.dumps(label()).encode())
    path = foreign.images / "all-000000.tar"
    with tarfile.open(path) as archive:
        bad = archive.getmembers()[2].offset
        last = archive.getmembers()[3]
        end = last.offset_data + -(-last.size // 512) * 512
    data = path.read_bytes()
    path.write_bytes(data[:bad] + b"????" + data[bad + 4 :] if place == "header" else data[:end])
    words = f"a bad header at byte {bad}" if place == "header" else "cut short after"
    with pytest.raises(UserError, match=f"all-000000.tar: not a whole tar file \\({words}"):
        foreign.bring_in("webdataset", output_root=str(foreign.root / "again"))
