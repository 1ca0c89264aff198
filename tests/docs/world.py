"""What the pages' commands find in their folder: a colon's footage, and what tools made of it.

Two seconds of two simulated colons, under the names that the pages use; every kind of labels is
what `convert`, `import` or `detect` writes of them.
"""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np

from endoforge import cli
from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.data.split import save_split, split_by_run
from endoforge.detect import packaged
from endoforge.inference.drawn_video import DrawnVideo

FPS, SIZE = 5, (160, 128)
SIMULATED = (
    "datagen --seed 31 --runs 2 --fps 5 --from 120 --to 122 --resolution 160x128 --renderer cpu "
    "--save instance,depth --output-root assets/datasets/captures"
)
CAPTURES = Path("assets/datasets/captures")
RUNS = ("run_1764161446512", "run_1795697131209")
VIDEO_RUN, MINE = "run_1795697129732", "run_1795921097600"
COPIES = (
    *("captures", "runs", "unseen", "assets/datasets/captures_filtered"),
    *("assets/datasets/labelled", "assets/datasets/real_val"),
)


def make_world() -> None:
    """Fill the current folder."""
    endoforge(SIMULATED)
    for run, name in zip(index_root(CAPTURES).runs, RUNS, strict=True):
        run.path.rename(CAPTURES / name)
        shutil.copytree(CAPTURES / name, name)
    film()
    for format in ("coco", "yolo", "voc", "cvat", "mot"):
        endoforge(f"convert --format {format} {CAPTURES} out-{format}")
    place_labels()
    write_masks()
    write_kvasir()
    endoforge("detect pictures --checkpoint packaged --draw none --output detections")
    shutil.copy("detections/coco_results.json", "coco_results.json")
    shutil.copy("detections/coco_images.json", "instances.json")
    import_video()
    split()
    for copy in COPIES:
        shutil.copytree(CAPTURES, copy)


def endoforge(line: str) -> None:
    assert cli.run(line.split()) == 0, line


def film() -> None:
    """The first run as a video, and its frames as JPEG files."""
    run = CAPTURES / RUNS[0]
    video = DrawnVideo(Path("clip.mp4"), SIZE[::-1])
    Path("more").mkdir()
    Path("frames").mkdir()
    for number, path in enumerate(sorted((run / "images").iterdir())):
        picture = read_picture(path)
        video.add(number / FPS, picture)
        cv2.imwrite(f"more/{path.stem}.jpg", np.asarray(picture)[..., ::-1])
        shutil.copy(path, "frames")
    video.close()


def place_labels() -> None:
    """Each tool's data set under the names of the pages."""
    for made, named in (
        ("out-coco/images", "pictures"),
        ("out-coco/annotations.json", "annotations.json"),
        ("out-yolo", "dataset"),
        ("out-voc", "VOC"),
        ("out-mot", "videos"),
        (f"out-cvat/{RUNS[0]}/images", "images"),
    ):
        shutil.move(made, named)
    for path in [*Path("VOC/JPEGImages").iterdir(), *Path("VOC/Annotations").iterdir()]:
        patient = 1 + path.name.startswith(RUNS[1])
        path.rename(path.with_name(f"patient{patient}_{path.name}"))
    labels = Path(f"out-cvat/{RUNS[0]}/annotations.xml").read_text(encoding="utf-8")
    Path("annotations.xml").write_text(labels.replace(RUNS[0], "clip.mp4"), encoding="utf-8")
    shutil.copytree("pictures", "DIR")


def write_masks() -> None:
    """Of each picture in `images`; every other mask is named in another way than usual."""
    Path("masks").mkdir()
    instances = sorted((CAPTURES / RUNS[0] / "instance").iterdir())
    for number, (picture, path) in enumerate(
        zip(sorted(Path("images").iterdir()), instances, strict=True)
    ):
        instance = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert instance is not None
        word = "_tumour" if number % 2 else ""
        cv2.imwrite(
            f"masks/{picture.stem}{word}.png", np.where(instance > 0, 255, 0).astype(np.uint8)
        )


def write_kvasir() -> None:
    """One box a picture, as Kvasir-SEG has them."""
    box = {"label": "polyp", "xmin": 20, "ymin": 20, "xmax": 60, "ymax": 70}
    width, height = SIZE
    entry = {"height": height, "width": width, "bbox": [box]}
    names = [path.stem for path in Path("images").iterdir()]
    Path("kavsir_bboxes.json").write_text(json.dumps(dict.fromkeys(names, entry)))


def import_video() -> None:
    """The video as a run with a person's labels, and as one with a detector's guesses."""
    endoforge("import --video clip.mp4 --fps 5 --output-root assets/of-the-video")
    [run] = Path("assets/of-the-video").glob("run_*")
    run.rename(VIDEO_RUN)
    endoforge(f"import --format cvat --annotations annotations.xml --onto {VIDEO_RUN}")
    endoforge("import --video clip.mp4 --fps 5 --prelabel --output-root assets/datasets/mine")
    [run] = Path("assets/datasets/mine").glob("run_*")
    run.rename(run.with_name(MINE))


def split() -> None:
    """A split of the captures as trainings save it, and weights where they leave them."""
    index = index_root(CAPTURES)
    save_split(Path("split.json"), split_by_run(index, 0.5, seed=42), seed=42)
    Path("checkpoints").mkdir()
    for name in ("tinydet.safetensors", "tinydet_best.safetensors"):
        shutil.copy(packaged.location(), f"checkpoints/{name}")
