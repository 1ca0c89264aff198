"""What Ultralytics' own reader makes of `convert --format yolo`, beside COCO's of the same runs.

Needs nothing of EndoForge, so that it can run in an environment of its own:

    endoforge convert --format yolo captures out-yolo
    endoforge convert --format coco captures out-coco
    python -m venv ultra && ultra/bin/pip install ultralytics
    ultra/bin/python benchmarks/ultralytics_reads.py out-yolo/data.yaml out-coco/annotations.json

For a split, name train.json or val.json, and the side: `--side val`. Exits with 1 if a picture, a
box or the name of a class differs, or an edge by more than half a pixel.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import ultralytics  # type: ignore[import-not-found]
from ultralytics.data.dataset import YOLODataset  # type: ignore[import-not-found]
from ultralytics.data.utils import check_det_dataset  # type: ignore[import-not-found]

MOST_PX = 0.5

Boxes = dict[str, list[tuple[str, list[float]]]]
"""Of each picture, by run and name: class and xyxy in pixels of each box."""


def of_ultralytics(data_yaml: str, side: str) -> Boxes:
    """As its reader for training has them; its cache files are written beside the labels."""
    data = check_det_dataset(data_yaml, autodownload=False)
    dataset = YOLODataset(data[side], data=data, task="detect", augment=False, imgsz=640)
    found: Boxes = {}
    for label in dataset.labels:
        height, width = label["shape"]
        centre, size = label["bboxes"][:, :2], label["bboxes"][:, 2:]
        corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        corners = corners.astype(float) * [width, height, width, height]
        names = [data["names"][int(number)] for number in label["cls"][:, 0]]
        path = Path(label["im_file"])
        pairs = zip(names, corners.tolist(), strict=True)
        found[f"{path.parent.name}/{path.name}"] = sorted(pairs)
    return found


def of_coco(annotations: str) -> Boxes:
    """As the JSON has them, read without any library."""
    content = json.loads(Path(annotations).read_text(encoding="utf-8"))
    names = {one["id"]: one["name"] for one in content["categories"]}
    boxes = defaultdict(list)
    for one in content["annotations"]:
        x, y, width, height = one["bbox"]
        boxes[one["image_id"]].append((names[one["category_id"]], [x, y, x + width, y + height]))
    return {one["file_name"]: sorted(boxes[one["id"]]) for one in content["images"]}


def largest_difference(one: Boxes, other: Boxes) -> float:
    """In pixels; infinite where a picture, a box or a class is missing."""
    if one.keys() != other.keys():
        return float("inf")
    largest = 0.0
    for name, boxes in one.items():
        if [label for label, _ in boxes] != [label for label, _ in other[name]]:
            return float("inf")
        for (_, first), (_, second) in zip(boxes, other[name], strict=True):
            largest = max(largest, float(np.abs(np.subtract(first, second)).max()))
    return largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_yaml")
    parser.add_argument("annotations")
    parser.add_argument("--side", default="train", choices=("train", "val"))
    args = parser.parse_args()
    ours, theirs = of_coco(args.annotations), of_ultralytics(args.data_yaml, args.side)
    difference = largest_difference(ours, theirs)
    record = {
        "benchmark": "ultralytics_reads",
        "ultralytics": ultralytics.__version__,
        "side": args.side,
        "pictures": len(theirs),
        "boxes": sum(map(len, theirs.values())),
        "classes": sorted({label for boxes in theirs.values() for label, _ in boxes}),
        "largest_difference_px": round(difference, 4) if np.isfinite(difference) else None,
    }
    print(json.dumps(record))
    sys.exit(difference > MOST_PX)


if __name__ == "__main__":
    main()
