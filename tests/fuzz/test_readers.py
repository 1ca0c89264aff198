"""Every reader, by the command that reads: it ends with 0 or 2, whatever is in the file."""

import io
import json
import struct
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save as save_tensors
from starlette.responses import JSONResponse

from endoforge.core.errors import UserError
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import METADATA_KEY, WeightsMetadata
from endoforge.select.selection import read_selection
from endoforge.sim.randomization import Randomization, randomization_toml
from endoforge.view.labelling.keeping import LabelKeeper
from endoforge.view.labelling.label_messages import parse_edit
from endoforge.view.training.curves import TrainingWatch
from endoforge.view.training.library import Library

from .harness import call, fuzzed, scratch
from .strategies import ESCAPES, TEXTS, changed, damaged

SIZE = (64, 48)
POLYP = {
    "center_world": [0, 0, 1],
    "bbox_px": [8, 8, 24, 24],
    "bbox_norm": [8 / 64, 8 / 48, 24 / 64, 24 / 48],
    "label": "polyp",
    "visibility": 1.0,
    "paris": "Is",
    "polyp_id": 1,
    "source": "predicted",
    "score": 0.9,
    "reviewed": True,
}
LABEL = {
    "frame_id": 0,
    "sim_time": 0.0,
    "unix_time": 0.0,
    "image": "images/frame_00000.png",
    "image_present": True,
    "camera_active": True,
    "polyp_seed": 1,
    "polyp_labels": [POLYP, POLYP],
    "source_image": "a.png",
    "source": "annotated",
    "reviewed": True,
}
MANIFEST = {
    "schema_version": 1,
    "seed": 1,
    "output_root": "out",
    "run_dir": "out/run_1",
    "started_at_unix": 0.0,
    "max_frames": 2,
    "endoforge": {"frames": 2, "complete": True, "import": {"format": "coco"}},
}
COCO = {
    "videos": [{"id": 1, "name": "clip", "fps": 25}],
    "images": [
        {
            "id": 1,
            "file_name": "a.png",
            "width": 64,
            "height": 48,
            "video_id": 1,
            "frame_id": 3,
            "seconds": 0.5,
        }
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 8, 16, 16], "track_id": 2},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]},
        {
            "id": 3,
            "image_id": 1,
            "category_id": 1,
            "segmentation": {"size": [48, 64], "counts": [48, 48, 2976]},
        },
    ],
    "categories": [{"id": 1, "name": "polyp"}],
}
STATUS = {"status": "running", "epoch": 1, "step": 2, "steps_per_epoch": 3, "loss": 0.5}


def picture() -> bytes:
    pixels = np.arange(64 * 48 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PICTURE = picture()


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode(errors="surrogatepass"))
    return path


def dumped(value: Any) -> str:
    return json.dumps(value)


def write_run(folder: Path, label: str, manifest: str = dumped(MANIFEST)) -> Path:
    run = folder / "runs/run_1"
    write(run / "run_manifest.json", manifest)
    for number in (0, 1):
        write(run / f"images/frame_0000{number}.png", PICTURE)
    write(run / "labels/frame_00000.json", label)
    good = LABEL | {"frame_id": 1, "image": "images/frame_00001.png"}
    write(run / "labels/frame_00001.json", dumped(good))
    return run


def import_of(folder: Path, kind: str, *more: str) -> tuple[int, str]:
    output = ["--output-root", f"{folder}/out", *more]
    return call(["import", "--format", kind, "--images", f"{folder}/images", *output], folder)


PREDICTED_KINDS = ("cvat", "label-studio", "parquet")


@fuzzed
@given(
    changed(LABEL),
    st.sampled_from(
        ["coco", "yolo", "voc", "cvat", "label-studio", "mot", "webdataset", "parquet"]
    ),
)
def test_labels(label: Any, kind: str) -> None:
    with scratch() as folder:
        run = write_run(folder, dumped(label))
        flags = ["--format", kind, *(["--predicted"] if kind in PREDICTED_KINDS else [])]
        code, _ = call(["convert", *flags, f"{folder}/runs", f"{folder}/out"], folder)
        assert code == 0  # of the other frame
        if kind == "label-studio":
            # JavaScript's JSON has no NaN, nor has int.
            json.loads((folder / "out/tasks.json").read_bytes(), parse_constant=int)
        if kind == "voc":
            for path in (folder / "out/Annotations").iterdir():
                ElementTree.parse(path)
        library = Library(folder / "runs")
        JSONResponse(library.runs())
        assert run.is_dir()


@fuzzed
@given(damaged(dumped(LABEL).encode()))
def test_labels_that_are_damaged(label: bytes) -> None:
    with scratch() as folder:
        write_run(folder, "")
        write(folder / "runs/run_1/labels/frame_00000.json", label)
        pruned = ["--output", f"{folder}/out"]
        code, _ = call(["prune-empty", "--input", f"{folder}/runs", *pruned], folder)
        assert code == 0


@fuzzed
@given(changed(MANIFEST))
def test_manifests(manifest: Any) -> None:
    with scratch() as folder:
        run = write_run(folder, dumped(LABEL), dumped(manifest))
        call(["overlay-labels", str(run), f"{folder}/out"], folder)
        JSONResponse(Library(folder / "runs").runs())
        again = ["--from-manifest", f"{run}/run_manifest.json", "--print-randomization"]
        call(["datagen", *again], folder)


@fuzzed
@given(
    changed(
        {
            **MANIFEST,
            "endoforge": {
                "version": "1",
                "renderer": "cpu",
                "resolution": [64, 64],
                "save": ["depth"],
                "base_seed": 1,
                "run_index": 0,
                "randomization": {"polyps": {"count": [1, 2]}, "motion": {"jitter_deg": [0, 1]}},
            },
        }
    )
)
def test_manifests_to_make_again(manifest: Any) -> None:
    with scratch() as folder:
        path = write(folder / "manifest.json", dumped(manifest))
        call(["datagen", "--from-manifest", str(path), "--print-randomization"], folder)


EDIT = {
    "polyp_labels": [{"center_world": [0, 0, 0], "bbox_px": [8, 8, 24, 24], "polyp_id": 1}],
    "reviewed": True,
    "overrule": True,
}


@fuzzed
@given(changed(EDIT).flatmap(lambda edit: damaged(dumped(edit).encode())))
def test_changes_of_labels_from_the_page(body: bytes) -> None:
    with scratch() as folder:
        write_run(folder, dumped(LABEL))
        keeper = LabelKeeper(folder / "runs")
        begun_from = keeper.read("run_1", 0).digest
        try:
            keeper.keep("run_1", 0, parse_edit(body), begun_from)
        except UserError:
            assert keeper.read("run_1", 0).digest == begun_from
        JSONResponse(keeper.read("run_1", 0).model_dump(mode="json"))


FRAME_TIMES = b"""{"frame_id": 0, "seconds": 0.0, "source_frame": 0}
{"frame_id": 1, "seconds": 0.04, "source_frame": null}
"""


@fuzzed
@given(damaged(FRAME_TIMES))
def test_frame_times(lines: bytes) -> None:
    with scratch() as folder:
        run = write_run(folder, dumped(LABEL))
        write(run / "frame_times.jsonl", lines)
        call(["detect", "--detector", "heuristic", str(run), "--output", f"{folder}/out"], folder)


@fuzzed
@given(changed(COCO), st.sampled_from(["folder", "field:id", "one"]))
def test_coco(dataset: Any, group: str) -> None:
    with scratch() as folder:
        write(folder / "images/a.png", PICTURE)
        path = write(folder / "coco.json", dumped(dataset))
        import_of(folder, "coco", "--annotations", str(path), "--group", group)


COCO_RESULTS = [{"image_id": 1, "category_id": 1, "bbox": [8, 8, 16, 16], "score": 0.9}] * 2


@fuzzed
@given(changed(COCO_RESULTS).flatmap(lambda found: damaged(dumped(found).encode())))
def test_coco_results(results: bytes) -> None:
    with scratch() as folder:
        write(folder / "images/a.png", PICTURE)
        write(folder / "coco_images.json", dumped(COCO))
        path = write(folder / "coco_results.json", results)
        import_of(folder, "coco", "--annotations", str(path))


YOLO = b"0 0.5 0.5 0.25 0.25\n0 0.1 0.1 0.2 0.1 0.2 0.2\n1 0.4 0.4 0.2 0.2 0.9\n"


@fuzzed
@given(damaged(YOLO), changed({"names": ["polyp", "tool"], "nc": "2", "path": "."}))
def test_yolo(lines: bytes, names: Any) -> None:
    with scratch() as folder:
        write(folder / "images/a.png", PICTURE)
        write(folder / "labels/a.txt", lines)
        path = write(folder / "data.yaml", yaml.safe_dump(names))
        import_of(folder, "yolo", "--names", str(path))


@fuzzed
@given(damaged(b"names: &a\n  0: polyp\n  1: [tool]\n{x: *a, .inf: b}\n"))
def test_yolo_names_that_are_damaged(text: bytes) -> None:
    with scratch() as folder:
        write(folder / "images/a.png", PICTURE)
        write(folder / "labels/a.txt", YOLO)
        write(folder / "data.yaml", text)
        import_of(folder, "yolo")


VOC = """<annotation><size><width>64</width><height>48</height></size><object><name>{name}</name>
<bndbox><xmin>8</xmin><ymin>8</ymin><xmax>24</xmax><ymax>24</ymax></bndbox></object></annotation>"""


@fuzzed
@given(st.data(), TEXTS)
def test_voc(data: st.DataObject, name: str) -> None:
    text = VOC.format(name=name)
    if data.draw(st.booleans()):
        text = f"<?xml version='1.0' encoding='{data.draw(st.sampled_from(CODECS))}'?>{text}"
    with scratch() as folder:
        write(folder / "images/a.png", PICTURE)
        write(folder / "Annotations/a.xml", data.draw(damaged(text.encode())))
        import_of(folder, "voc")


CVAT = """<annotations><meta><task><mode>interpolation</mode><start_frame>0</start_frame>
<stop_frame>1</stop_frame></task></meta><track id="3" label="polyp"><box frame="0" outside="0"
xtl="8" ytl="8" xbr="24" ybr="24" rotation="3"/><polygon frame="1" points="1,2;9,2;9,9"/></track>
</annotations>"""
CVAT_IMAGES = """<annotations><image name="0.png" width="64" height="48"><box label="polyp" xtl="8"
ytl="8" xbr="24" ybr="24"/><ellipse label="a" cx="30" cy="20" rx="9" ry="4"/></image><image
name="1.png"/></annotations>"""


@fuzzed
@given(st.sampled_from([CVAT, CVAT_IMAGES]).flatmap(lambda text: damaged(text.encode())))
def test_cvat(text: bytes) -> None:
    with scratch() as folder:
        write(folder / "images/0.png", PICTURE)
        write(folder / "images/1.png", PICTURE)
        write(folder / "images/annotations.xml", text)
        import_of(folder, "cvat", "--fps", "25")


CVAT_OF_CLIP = CVAT.replace("</task>", "<source>clip.mp4</source></task>")
CVAT_IMAGES_OF_CLIP = """<annotations><meta><task><stop_frame>9</stop_frame><frame_filter>step=1
</frame_filter><source>clip.mp4</source></task></meta><image id="0" name="frame_000000" width="128"
height="96"><box label="polyp" xtl="8" ytl="8" xbr="24" ybr="24"/></image></annotations>"""


@fuzzed
@given(
    st.sampled_from([CVAT_OF_CLIP, CVAT_IMAGES_OF_CLIP]).flatmap(
        lambda text: damaged(text.encode())
    ),
    damaged(b'{"frame_id": 0, "seconds": 0.0, "source_frame": 0}\n'),
    changed(LABEL),
)
def test_cvat_onto_the_run_of_a_video(text: bytes, times: bytes, label: Any) -> None:
    origin = {"format": "video", "source": "clip.mp4", "group": "", "pictures": "", "content": ""}
    ours = {"endoforge": {"complete": True, "import": origin}}
    with scratch() as folder:
        write(folder / "run_1/run_manifest.json", json.dumps(MANIFEST | ours))
        write(folder / "run_1/images/frame_00000.png", PICTURE)
        write(folder / "run_1/images/frame_00001.png", PICTURE)
        write(folder / "run_1/labels/frame_00001.json", json.dumps(label))
        write(folder / "run_1/frame_times.jsonl", times)
        write(folder / "a.xml", text)
        where = ["--annotations", str(folder / "a.xml"), "--onto", str(folder / "run_1")]
        call(["import", "--format", "cvat", *where], folder, "run_1")


MOT = b"1,1,8,8,16,16,1,1,1\n1,2,1,2,3,4,1,2,0.5\n2,-1,8.5,8,16,16,1,-1,-1,-1\n"
MOT_INFO = b"[Sequence]\nframeRate=25\nimWidth=64\nimHeight=48\n"


@fuzzed
@given(damaged(MOT), damaged(MOT_INFO))
def test_mot(rows: bytes, info: bytes) -> None:
    with scratch() as folder:
        write(folder / "images/one/img1/1.png", PICTURE)
        write(folder / "images/one/img1/2.png", PICTURE)
        write(folder / "images/one/gt/gt.txt", rows)
        write(folder / "images/one/gt/labels.txt", "polyp\ntool\n")
        write(folder / "images/one/seqinfo.ini", info)
        import_of(folder, "mot")


SELECTION = {
    "schema_version": 1,
    "version": "1",
    "detector": "weights",
    "seed": 1,
    "frames": [
        {
            "rank": 1,
            "run": "run_1",
            "folder": "runs/run_1",
            "frame_id": 0,
            "image": "images/frame_00000.png",
            "seconds": 0.5,
            "worth": 0.9,
            "score": 0.3,
            "track": None,
            "reasons": [{"kind": "unsure", "text": "unsure of a find of 0.30"}],
        }
    ],
}


@fuzzed
@given(changed(SELECTION))
def test_selections(selection: Any) -> None:
    with scratch() as folder:
        path = write(folder / "s.json", dumped(selection))
        with suppress(UserError):
            assert read_selection(path).schema_version == 1


LABELME = {
    "shapes": [
        {"label": "polyp", "points": [[8, 8], [24, 24]], "shape_type": "rectangle"},
        {"label": "a", "points": [[1, 2], [9, 2], [9, 9]], "group_id": 1},
    ],
    "imageWidth": 64,
    "imageHeight": 48,
}
KVASIR_BOX = {"label": "polyp", "xmin": 8, "ymin": 8, "xmax": 24, "ymax": 24}
KVASIR = {"a": {"height": 48, "width": 64, "bbox": [KVASIR_BOX]}, "b": {"bbox": []}}


@fuzzed
@given(changed(LABELME))
def test_labelme(label: Any) -> None:
    with scratch() as folder:
        write(folder / "images/a.png", PICTURE)
        write(folder / "images/a.json", dumped(label))
        import_of(folder, "labelme")


@fuzzed
@given(changed(KVASIR))
def test_kvasir(entries: Any) -> None:
    with scratch() as folder:
        write(folder / "images/a.png", PICTURE)
        path = write(folder / "boxes.json", dumped(entries))
        import_of(folder, "kvasir", "--annotations", str(path))


@fuzzed
@given(damaged(b"2\n8 8 24 24\n1.5 2 3 4\n"))
def test_ldpolyp(text: bytes) -> None:
    with scratch() as folder:
        write(folder / "images/1/a.png", PICTURE)
        write(folder / "Annotations/1/a.txt", text)
        import_of(folder, "ldpolyp")


IMAGEFOLDER = {"file_name": "a.png", "objects": {"bbox": [[8, 8, 16, 16]], "categories": [0]}}


@fuzzed
@given(changed(IMAGEFOLDER).flatmap(lambda line: damaged(dumped(line).encode())))
def test_imagefolder(lines: bytes) -> None:
    with scratch() as folder:
        write(folder / "images/a.png", PICTURE)
        write(folder / "images/metadata.jsonl", lines)
        names = write(folder / "names.txt", "polyp\n")
        import_of(folder, "imagefolder", "--names", str(names))


CODECS = ["utf-8", "utf-16", "latin-1", "rot13", "punycode", "idna", "zlib", "unicode_escape", "x"]


def instance_image() -> bytes:
    pixels = np.zeros((48, 64), np.uint8)
    pixels[8:24, 8:24] = 3
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@fuzzed
@given(damaged(instance_image()), st.sampled_from(["coco", "yolo-seg", "masks"]))
def test_instance_images(image: bytes, kind: str) -> None:
    with scratch() as folder:
        label = LABEL | {"polyp_labels": [POLYP | {"polyp_id": 3}]}
        run = write_run(folder, dumped(label))
        write(run / "instance/frame_00000.png", image)
        call(["convert", "--format", kind, str(run), f"{folder}/out"], folder)


def depth_image() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((48, 64), 2500, np.uint16)).save(file, "PNG")
    return file.getvalue()


CAMERA = {
    "pose": {
        "position_mm": [1.0, 2.0, 3.0],
        "world_from_camera": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "s_mm": 4.0,
    },
    "intrinsics": {
        "model": "opencv_fisheye",
        "width": 64,
        "height": 48,
        "fx": 30.0,
        "fy": 30.0,
        "cx": 31.5,
        "cy": 23.5,
        "k": [0.01, 0.0, 0.0, 0.0],
    },
}


@fuzzed
@given(changed(CAMERA), st.sampled_from(["c3vd", "simcol3d", "parquet"]))
def test_cameras(camera: Any, kind: str) -> None:
    with scratch() as folder:
        run = write_run(folder, dumped(LABEL | {"camera": camera}))
        write(run / "depth/frame_00000.png", depth_image())
        call(["convert", "--format", kind, str(run), f"{folder}/out"], folder)


@fuzzed
@given(damaged(depth_image()), st.sampled_from(["c3vd", "simcol3d"]))
def test_depth_images(image: bytes, kind: str) -> None:
    with scratch() as folder:
        run = write_run(folder, dumped(LABEL | {"camera": CAMERA}))
        write(run / "depth/frame_00000.png", image)
        call(["convert", "--format", kind, str(run), f"{folder}/out"], folder)


@fuzzed
@given(damaged(PICTURE), damaged(PICTURE))
def test_masks_and_pictures(mask: bytes, image: bytes) -> None:
    with scratch() as folder:
        write(folder / "images/a.png", image)
        write(folder / "masks/a.png", mask)
        import_of(folder, "masks", "--annotations", f"{folder}/masks")


def shard(label: Any, prefix: str, form: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        folder = tarfile.TarInfo(prefix or ".")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in (
            ("a.png", PICTURE),
            ("a.json", dumped(label).encode()),
            ("._a.png", b"AppleDouble"),
        ):
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


FORMS = [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]


@fuzzed
@given(
    changed(LABEL | {"width": 64, "height": 48}),
    st.sampled_from(["./", "", "../", "/", "a" * 90 + "/"]),
    st.sampled_from(FORMS),
    st.data(),
)
def test_tar(label: Any, prefix: str, form: int, data: st.DataObject) -> None:
    whole = shard(label, prefix, form)
    with scratch() as folder:
        write(folder / "images/s.tar", data.draw(damaged(whole) | st.just(whole)))
        import_of(folder, "webdataset")


def safetensors_file(metadata: Any) -> bytes:
    tensors = build_tinydet(TinyDetConfig(), seed=0).state_dict()
    return save_tensors(tensors, {METADATA_KEY: dumped(metadata)})


WHOLE = json.loads(
    WeightsMetadata(
        model=TinyDetConfig(), input_size=SIZE, resize_mode="letterbox", version=ESCAPES
    ).to_json()
)


@fuzzed
@given(changed(WHOLE))
def test_metadata_of_weights(metadata: Any) -> None:
    with scratch() as folder:
        write(folder / "a.png", PICTURE)
        path = write(folder / "w.safetensors", safetensors_file(metadata))
        words = ["--checkpoint", str(path), "--output", f"{folder}/out", "--device", "cpu"]
        call(["detect", f"{folder}/a.png", *words], folder)


@fuzzed
@given(st.data())
def test_headers_of_weights(data: st.DataObject) -> None:
    whole = safetensors_file(WHOLE)
    length = struct.unpack("<Q", whole[:8])[0]
    header = data.draw(damaged(whole[8 : 8 + length]))
    claimed = data.draw(st.sampled_from([len(header), 0, 2**63, 10**8]))
    with scratch() as folder:
        write(folder / "a.png", PICTURE)
        path = folder / "w.safetensors"
        path.write_bytes(struct.pack("<Q", claimed) + header + whole[8 + length :])
        words = ["--checkpoint", str(path), "--output", f"{folder}/out", "--device", "cpu"]
        call(["detect", f"{folder}/a.png", *words], folder)


@fuzzed
@given(damaged(randomization_toml(Randomization()).encode()))
def test_ranges(text: bytes) -> None:
    with scratch() as folder:
        path = write(folder / "ranges.toml", text)
        call(["datagen", "--randomization", str(path), "--print-randomization"], folder)


@fuzzed
@given(changed(STATUS), damaged((dumped(STATUS) + "\n").encode() * 3))
def test_status_files(status: Any, metrics: bytes) -> None:
    with scratch() as folder:
        paths = (
            write(folder / "status.json", dumped(status)),
            write(folder / "metrics.jsonl", metrics),
        )
        watch = TrainingWatch(*map(str, paths))
        watch.sample()
        JSONResponse(watch.as_json())


@fuzzed
@given(changed({"train": ["run_1/labels/frame_00000.json"], "val": [], "seed": 1, "x": "y"}))
def test_split_manifests(manifest: Any) -> None:
    with scratch() as folder:
        write_run(folder, dumped(LABEL))
        path = write(folder / "split.json", dumped(manifest))
        words = ["--split-manifest", str(path), f"{folder}/runs", f"{folder}/out"]
        call(["convert", "--format", "coco", *words], folder)
