from dataclasses import replace

import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.data.classes import class_names
from endoforge.data.pack import pack_frames

WIDE = (0.0, 0.0, 1.0, 0.5)
SMALL = (0.25, 0.25, 0.5, 0.5)
TINY = (0.5, 0.5, 0.51, 0.51)


def pack(root, size=(32, 16), resize_mode="letterbox", max_boxes=8, strict=False):
    frames = index_root(root).frames
    return pack_frames(
        frames,
        class_names=class_names(frames),
        size=size,
        resize_mode=resize_mode,
        max_boxes=max_boxes,
        strict=strict,
        label="training",
    )


def test_every_frame_is_there_in_order_with_its_boxes(record):
    run = record([[WIDE], [], [SMALL, TINY]])
    made = pack(run)
    assert made.images.shape == (3, 16, 32, 3)
    assert made.images.dtype == np.uint8
    assert [image.max() for image in made.images] == [0, 1, 2]
    assert [image.min() for image in made.images] == [0, 1, 2]
    assert np.allclose(made.boxes[2], [SMALL, TINY])
    assert [len(boxes) for boxes in made.boxes] == [1, 0, 2]
    assert [frame.frame_id for frame in made.frames] == [0, 1, 2]
    assert len(made) == 3
    assert made.tally.counts == {}


def test_boxes_are_of_the_input_after_letterboxing(record):
    run = record([[WIDE]])
    assert np.allclose(pack(run, size=(32, 32)).boxes[0], [[0, 0.25, 1, 0.5]])
    assert np.allclose(pack(run, size=(32, 32), resize_mode="force").boxes[0], [WIDE])


def test_a_frame_that_cannot_be_decoded_is_dropped_and_the_rest_stays_matched(record):
    run = record([[WIDE], [SMALL], [TINY], []])
    image = run / "images/frame_00001.png"
    image.write_bytes(image.read_bytes()[:60])
    (run / "images/frame_00003.png").write_bytes(b"")
    made = pack(run)
    assert [image.max() for image in made.images] == [0, 2]
    assert np.allclose(made.boxes[1], [TINY])
    assert [frame.frame_id for frame in made.frames] == [0, 2]
    assert made.tally.counts == {"frame: image unreadable": 2}
    assert made.tally.examples["frame: image unreadable"][0].startswith(made.frames[0].run)


def test_strict_names_the_frame_that_cannot_be_decoded(record):
    run = record([[], []])
    (run / "images/frame_00001.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"frame_00001\.json .*image unreadable"):
        pack(run, strict=True)


def test_the_largest_boxes_are_kept_in_their_order(record):
    run = record([[TINY, SMALL, WIDE], [SMALL]])
    made = pack(run, max_boxes=2, strict=True)
    assert np.allclose(made.boxes[0], [SMALL, WIDE])
    assert made.tally.counts == {"box: boxes over --max-boxes": 1}


def test_the_largest_boxes_keep_their_classes(record):
    run = record([[TINY, SMALL, WIDE]])
    [frame] = index_root(run).frames
    made = pack_frames(
        [replace(frame, classes=("b", "c", "a"))],
        class_names=("a", "b", "c", "unused"),
        size=(32, 16),
        resize_mode="force",
        max_boxes=2,
        strict=False,
        label="training",
    )
    assert made.classes[0].tolist() == [2, 0]
    assert made.classes[0].dtype == np.int64


def test_no_frame_and_no_readable_frame_are_user_errors(record):
    run = record([[]])
    (run / "images/frame_00000.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match="no training frame could be loaded: 1 x frame: image"):
        pack(run)
    with pytest.raises(UserError, match="no training frames"):
        pack_frames(
            [],
            class_names=("polyp",),
            size=(8, 8),
            resize_mode="force",
            max_boxes=1,
            strict=False,
            label="training",
        )
