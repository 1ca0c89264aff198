"""What programs may give by mistake is an error that names the argument, before any work begins."""

from typing import Any

import numpy as np
import pytest

from endoforge import DatagenConfig, Simulator, UserError, load_detector, record_runs

NO_NUMBERS = ("a", True, float("nan"), [1], (1, 2), -1)
NO_WHOLE_NUMBERS = (*NO_NUMBERS, 1.5)
NO_TEXTS = (1.5, True, [1], (1, 2), -1)
NO_SIZES: tuple[Any, ...] = (
    "a",
    "64x64",
    None,
    1.5,
    -1,
    (64,),
    (64.5, 64),
    ("a", "b"),
    {},
    (64, 64, 64),
)


def each(**values: tuple[Any, ...]) -> list[tuple[str, Any]]:
    return [(name, value) for name, those in values.items() for value in those]


@pytest.mark.parametrize(
    ("name", "value"),
    each(
        seed=(*NO_WHOLE_NUMBERS, None),
        max_frames=(*NO_WHOLE_NUMBERS, 0),
        batch_size=(*NO_WHOLE_NUMBERS, 0),
        fps=(*NO_NUMBERS, 0),
        start_s=(*NO_NUMBERS, None),
        end_s=(*NO_NUMBERS, 0),
        size=NO_SIZES,
        renderer=(*NO_TEXTS, "a"),
        randomization=(*NO_TEXTS, {}, None),
    ),
)
def test_simulator(name, value):
    with pytest.raises(UserError, match=rf"^(--)?{name}"):
        Simulator(**{"seed": 1, "max_frames": 1, "size": (64, 64), name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    each(
        seed=NO_WHOLE_NUMBERS,
        max_frames=NO_WHOLE_NUMBERS,
        runs=NO_WHOLE_NUMBERS,
        workers=NO_WHOLE_NUMBERS,
        fps=NO_NUMBERS,
        from_s=(*NO_NUMBERS, None),
        to_s=NO_NUMBERS,
        resolution=(*NO_TEXTS, None),
        run_range=NO_TEXTS,
        polyps=NO_TEXTS,
        save=NO_TEXTS,
        output_root=(*NO_TEXTS, None),
        randomization=NO_TEXTS,
        from_manifest=NO_TEXTS,
    ),
)
def test_record_runs(name, value):
    flag = name.removesuffix("_s").replace("_", "-")
    with pytest.raises(UserError, match=rf"^--{flag}"):
        DatagenConfig(**{"seed": 1, name: value})


@pytest.mark.parametrize("value", ["a", None, {"seed": 1}])
def test_record_runs_takes_its_configuration_alone(value):
    with pytest.raises(UserError, match="record_runs takes a DatagenConfig"):
        record_runs(value)


@pytest.mark.parametrize(
    ("name", "value"),
    each(
        path=(*NO_TEXTS, b"a"),
        device=(*NO_TEXTS, "gpu", None),
        backend=(*NO_TEXTS, "a", None),
        adapter=NO_TEXTS,
    ),
)
def test_load_detector(name, value):
    with pytest.raises(UserError, match=rf"^(--)?{name}"):
        load_detector(**{"path": "packaged", name: value})


def test_numbers_of_numpy_are_numbers():
    values: dict[str, Any] = {"seed": np.int64(1), "max_frames": np.uint8(2), "fps": np.float32(25)}
    config = DatagenConfig(**values)
    assert (config.seed, config.max_frames, config.fps) == (1, 2, 25)
