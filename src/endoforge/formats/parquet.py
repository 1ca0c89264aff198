"""Parquet: a table of frames and one of boxes, for pandas, DuckDB and their like."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from endoforge import __version__
from endoforge.captures.index import RunInfo
from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.schema import PICTURE_EXTRAS, PolypLabel, extra_name
from endoforge.core.files import create_file
from endoforge.core.folders import make_folder
from endoforge.formats.columns import TABLES, Column
from endoforge.formats.depth_views import camera_of
from endoforge.formats.writing import ALL, Converted, Writer

GROUP_ROWS = 20_000
"""Rows of a row group: what is kept in memory, and what readers read at least."""

Row = Mapping[str, Any]


class ParquetWriter(Writer):
    """`frames.parquet`, a row a frame; `boxes.parquet` and `unseen.parquet`, a row a polyp.

    `run` and `frame` join them. A side is a folder. Pictures stay where they are.
    """

    packages = ("pyarrow",)

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        super().__init__(out, class_names, sides)
        self._tables = {side: {name: self._table(side, name) for name in TABLES} for side in sides}
        self._run = RunInfo("", Path())

    def _table(self, side: str, name: str) -> "_Table":
        return _Table(self, name if side == ALL else f"{side}/{name}", TABLES[name])

    def add(self, frame: Converted, side: str) -> None:
        record = frame.record
        if self._run.path != record.run_path:
            self._run = RunInfo(record.run, record.run_path)
        tables = self._tables[side]
        key = {"run": record.run, "frame": frame.stem, "frame_id": record.frame_id}
        seen = frame.label.seen_polyps
        unseen = [polyp for polyp in frame.label.polyp_labels if not polyp.has_box]
        tables["boxes"].add(
            {
                **key,
                "class": self.class_names[number],
                **dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)),
                **_of_polyp(polyp),
                "awaits_review": polyp.awaits_review,
            }
            for polyp, number, box in zip(seen, frame.classes, frame.boxes_px.tolist(), strict=True)
        )
        tables["unseen"].add({**key, **_of_polyp(polyp)} for polyp in unseen)
        counts = {"num_boxes": len(seen), "num_unseen": len(unseen)}
        tables["frames"].add([{**key, **counts, **self._of_frame(frame)}])

    def _of_frame(self, frame: Converted) -> Row:
        record, label, manifest = frame.record, frame.label, self._run.manifest
        width, height = frame.size
        return {
            "image": f"{record.run}/{record.image}",
            "label": record.key,
            "width": width,
            "height": height,
            "sim_time": record.seconds,
            "unix_time": _finite(label.unix_time),
            "seed": None if manifest is None else manifest.seed,
            "polyp_seed": label.polyp_seed,
            "camera_active": label.camera_active,
            **_of_camera(label.camera),
            **_pictures_of(record),
            "source_image": label.source_image,
            "source": label.source,
            "reviewed": label.reviewed,
            "awaits_review": record.awaits_review,
        }

    def finish(self) -> list[str]:
        for tables in self._tables.values():
            for table in tables.values():
                table.close()
        return []


class _Table:
    """A file that is written row group by row group; what waits is never more than one."""

    def __init__(self, writer: Writer, name: str, columns: tuple[Column, ...]) -> None:
        import pyarrow as pa  # an extra
        import pyarrow.parquet as pq

        self._writer, self._name = writer, f"{name}.parquet"
        self._schema = pa.schema(
            [_field(column) for column in columns],
            metadata={"endoforge": __version__, "table": Path(name).name},
        )
        self._rows: list[Row] = []
        with writer.writing(self._name) as path:
            make_folder(path.parent, within=writer.out)
            self._file: BinaryIO = create_file(path)
            self._parquet = pq.ParquetWriter(self._file, self._schema, compression="zstd")

    def add(self, rows: Iterable[Row]) -> None:
        self._rows += rows
        if len(self._rows) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        rows, self._rows = self._rows, []
        with self._writer.writing(self._name):
            self._parquet.write_table(pa.Table.from_pylist(rows, self._schema))

    def close(self) -> None:
        if self._rows:
            self._flush()
        with self._writer.writing(self._name), self._file:
            self._parquet.close()


def _field(column: Column) -> Any:
    import pyarrow as pa

    if column.type == "list<double>":
        kind = pa.list_(pa.float64())
    else:
        kind = pa.type_for_alias(column.type)
    notes = {"description": column.meaning, **({"unit": column.unit} if column.unit else {})}
    return pa.field(column.name, kind, metadata=notes)


def _of_polyp(polyp: PolypLabel) -> Row:
    center = list(polyp.center_world)
    return {
        "polyp_id": polyp.name,
        "kind": polyp.label,
        "paris": polyp.paris_kind,
        "diameter": polyp.size_mm,
        "distance": _finite(polyp.distance_mm),
        "center": center if all(map(math.isfinite, center)) else None,
        "visibility": _finite(polyp.visibility),
        "source": polyp.source,
        "score": _finite(polyp.score),
        "reviewed": polyp.reviewed,
    }


def _of_camera(said: dict[str, Any] | None) -> Row:
    """The pose and the lens in columns of their own, or as JSON what is of another form."""
    camera = camera_of(said)
    if camera is None:
        return {"camera_json": None if said is None else json.dumps(said)}
    pose, lens = camera.pose, camera.intrinsics
    return {
        "position": list(pose.position_mm),
        "world_from_camera": [number for row in pose.world_from_camera for number in row],
        "s": pose.s_mm,
        "lens": lens.model,
        "fx": lens.fx,
        "fy": lens.fy,
        "cx": lens.cx,
        "cy": lens.cy,
        "k": list(lens.k),
    }


def _pictures_of(record: FrameRecord) -> Row:
    """The paths of the pictures of more truth that are there."""
    names = {kind: extra_name(kind, record.frame_id) for kind in PICTURE_EXTRAS}
    return {
        kind: f"{record.run}/{name}"
        for kind, name in names.items()
        if (record.run_path / name).is_file()
    }


def _finite(number: float | None) -> float | None:
    """Null for NaN, which some readers take for a number."""
    return number if number is not None and math.isfinite(number) else None
