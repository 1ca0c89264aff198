"""What `datagen` can be told, and what it answers to what it can't."""

from pathlib import Path
from typing import Any

import pytest

from endoforge.cli import parse
from endoforge.core.errors import UserError
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.job import randomization_of


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"seed": -1}, "--seed -1"),
        ({"runs": 0}, "--runs 0"),
        ({"max_frames": 0}, "--max-frames 0"),
        ({"workers": 0}, "--workers 0"),
        ({"fps": 0.0}, "--fps 0.0: must be above 0 and at most 240; try 25"),
        ({"fps": 240.1}, "--fps 240.1: must be above 0"),
        ({"fps": float("nan")}, "--fps nan: must be above 0"),
        ({"from_s": -1.0}, "--from -1.0: must be at least 0; try 60"),
        ({"to_s": 0.0}, r"--to 0.0: must be a number greater than 0 \(--from\); try 30"),
        ({"from_s": 60.0, "to_s": 60.0}, r"--to 60.0: .* greater than 60 \(--from\); try 90"),
        ({"to_s": float("inf")}, "--to inf: must be a number"),
        ({"resolution": "640"}, "--resolution"),
        ({"resolution": "32x32"}, "--resolution 32x32"),
        ({"prune_output_root": "x"}, "--prune-output-root: needs --prune-empty"),
        ({"run_range": "3"}, "--run-range 3: expected two whole numbers such as 0:10"),
        ({"run_range": "3:3"}, "--run-range 3:3: holds no run, .*; try 3:4"),
        ({"run_range": "3:9", "runs": 8}, "--run-range 3:9: must lie within 0:8"),
        ({"run_range": "9:3"}, "--run-range 9:3: begins at 9 and ends at 3, .*; try 3:9"),
        ({"polyps": "many"}, "--polyps many: expected two whole numbers such as 12-20"),
        ({"polyps": "20-12"}, "--polyps 20-12: begins at 20 and ends at 12, below it; try 12-20"),
        ({"polyps": "many"}, "--polyps many"),
        ({"save": "depth,colour"}, "--save depth,colour: expected any of instance,depth,normals"),
        ({"save": ""}, "--save : expected any of"),
        ({"from_manifest": "m.json", "seed": 0}, "--seed: --from-manifest has its own"),
        ({"from_manifest": "m.json", "fps": 25.0}, "--fps: --from-manifest has its own"),
        ({"from_manifest": "m.json", "from_s": 1.0}, "--from: --from-manifest has its own"),
        ({"from_manifest": "m.json", "to_s": 1.0}, "--to: --from-manifest has its own"),
        ({"from_manifest": "m.json", "runs": 2}, "--runs: --from-manifest has its own"),
        ({"from_manifest": "m.json", "save": "pose"}, "--save: --from-manifest has its own"),
    ],
)
def test_bad_settings_are_named(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DatagenConfig(**flags)


def test_runs_and_their_parts() -> None:
    assert DatagenConfig().run_indices == range(1)
    assert DatagenConfig(runs=8).run_indices == range(8)
    assert DatagenConfig(run_range="3:9").run_indices == range(3, 9)
    assert DatagenConfig(run_range="3:8", runs=8).run_indices == range(3, 8)


def test_what_is_saved_is_kept_in_one_order() -> None:
    assert DatagenConfig().saved == ()
    assert DatagenConfig(save="pose, depth,pose").saved == ("depth", "pose")


def test_ranges_come_from_the_defaults_a_file_and_the_flag_in_turn(tmp_path: Path) -> None:
    file = tmp_path / "ranges.toml"
    file.write_text("[polyps]\ncount = [1, 2]\nbehind_folds = 0.5\n")
    from_file = randomization_of(DatagenConfig(randomization=str(file)))
    both = randomization_of(DatagenConfig(randomization=str(file), polyps="4-6"))
    assert randomization_of(DatagenConfig()).polyps.count == (12, 20)
    assert (from_file.polyps.count, from_file.polyps.behind_folds) == ((1, 2), 0.5)
    assert (both.polyps.count, both.polyps.behind_folds) == ((4, 6), 0.5)


def test_more_polyps_than_a_scene_holds_are_refused() -> None:
    with pytest.raises(UserError, match=r"--polyps 12-99: polyps\.count"):
        randomization_of(DatagenConfig(polyps="12-99"))


def test_the_flags_of_a_stretch_are_typed_as_they_are_called() -> None:
    for words in (["--from", "60", "--to", "90.5"], ["--", "--from=60", "--to=90.5"]):
        config, _ = parse("datagen", words)
        assert (config.from_s, config.to_s) == (60.0, 90.5)
