"""The ranges: documented, checked, and the same after a round trip through TOML."""

import json
import tomllib
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from endoforge.core.errors import UserError
from endoforge.sim.randomization import (
    NAMED,
    Randomization,
    chosen_randomization,
    load_randomization,
    parse_randomization,
    randomization_toml,
    ranges_file,
)
from endoforge.sim.ranges.polyps_ranges import PolypRanges
from endoforge.sim.ranges.values import Nuisance, draw, draw_nuisance

CHANGED = replace(
    Randomization(),
    polyps=replace(Randomization().polyps, count=(3, 5), share_ip=0.5),
    nuisances=replace(
        Randomization().nuisances, stool=Nuisance(probability=0.1, strength=(0.2, 0.3))
    ),
)


NO_KIND = "[polyps]\n" + "\n".join(
    f"{field.name} = 0" for field in fields(PolypRanges) if field.name.startswith("share_")
)


@pytest.mark.parametrize("ranges", [Randomization(), CHANGED])
def test_it_comes_back_from_toml_as_it_was(ranges: Randomization, tmp_path: Path) -> None:
    file = tmp_path / "ranges.toml"
    file.write_text(randomization_toml(ranges))
    assert load_randomization(file) == ranges


def test_it_comes_back_from_a_manifests_json() -> None:
    assert parse_randomization(json.loads(json.dumps(asdict(CHANGED)))) == CHANGED


def test_a_file_with_one_line_changes_that_alone(tmp_path: Path) -> None:
    file = tmp_path / "ranges.toml"
    file.write_text("[nuisances.blood]\nprobability = 1.0\nstrength = [0.5, 0.5]\n")
    blood = Nuisance(probability=1.0, strength=(0.5, 0.5))
    expected = replace(Randomization(), nuisances=replace(Randomization().nuisances, blood=blood))
    assert load_randomization(file) == expected


def test_half_of_a_table_leaves_the_other_half(tmp_path: Path) -> None:
    file = tmp_path / "ranges.toml"
    file.write_text("[nuisances.blood]\nprobability = 1.0\n[camera.jpeg]\nstrength = [0.5, 0.5]\n")
    usual, changed = Randomization(), load_randomization(file)
    assert changed.nuisances.blood == replace(usual.nuisances.blood, probability=1.0)
    assert changed.camera.jpeg == replace(usual.camera.jpeg, strength=(0.5, 0.5))
    assert changed.nuisances.stool == usual.nuisances.stool


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[polyps]\ncuont = [1, 2]", "polyps.cuont: no such name; perhaps count"),
        ("[polips]\ncount = [1, 2]", "polips: no such name; perhaps polyps"),
        ("[lens.drops]\nprobability = 1", "lens.drops: must be a range [least, most], such as"),
        (
            "[nuisances]\nstool = 0.5",
            "nuisances.stool: must be a table that has probability, strength",
        ),
        ("[lens]\nfog = 0.5", "lens.fog: must be a range [least, most], such as [0.0, 0.15]"),
        ("[lens]\nfog = [0, 0, 1]", "lens.fog: must be a range [least, most], such as [0.0, 0.15]"),
        ("[polyps]\ncount = [8, 4]", "polyps.count: [8, 4] begins above its end; try [4, 8]"),
        ("[polyps]\ncount = [1.5, 4]", "polyps.count.0: input should be a valid integer"),
        ("[lens.sonw]\nx = 1", "lens.sonw: no such name; there are bloom, ghosts, drops, fog,"),
    ],
)
def test_what_is_wrong_is_said_in_the_files_own_words(text: str, line: str, tmp_path: Path) -> None:
    file = tmp_path / "ranges.toml"
    file.write_text(text)
    with pytest.raises(UserError) as raised:
        load_randomization(file)
    assert str(raised.value).startswith(f"{file}: {line}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_it_is_read_in_any_unicode_encoding(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "ranges.toml"
    file.write_bytes("# für kleine\r\n[polyps]\r\ncount = [3, 5]\r\n".encode(encoding))
    assert load_randomization(file).polyps.count == (3, 5)


def test_no_range_takes_numbers_that_are_not_finite() -> None:
    """Every number of every range, set to infinity in a manifest's JSON."""
    values = json.loads(json.dumps(asdict(Randomization())))
    checked = 0
    for path in paths(values):
        changed = json.loads(json.dumps(values))
        parent = changed
        for step in path[:-1]:
            parent = parent[step]
        parent[path[-1]] = float("inf")
        with pytest.raises(ValueError, match="finite") as raised:
            parse_randomization(changed)
        assert ".".join(map(str, path)) in str(raised.value)
        checked += 1
    assert checked > 100


def paths(values: Any) -> list[list[Any]]:
    """Where the numbers of nested dicts and lists are."""
    if not isinstance(values, dict | list):
        return [[]]
    items = values.items() if isinstance(values, dict) else enumerate(values)
    return [[name, *path] for name, value in items for path in paths(value)]


def test_null_stands_for_the_default() -> None:
    assert parse_randomization({"polyps": None, "camera": {"jpeg": None}}) == Randomization()


def leaves(values: Any, path: str = "") -> dict[str, Any]:
    """Every number or range of it by its dotted name; a `Nuisance` counts as one."""
    if not is_dataclass(values) or isinstance(values, Nuisance):
        return {path: values}
    return {
        name: leaf
        for field in fields(values)
        for name, leaf in leaves(
            getattr(values, field.name), f"{path}.{field.name}".strip(".")
        ).items()
    }


def test_every_range_is_documented() -> None:
    """In the TOML by the line or the table, in the dataclass by its docstring."""
    text = randomization_toml(Randomization())
    for name in leaves(Randomization()):
        *_, table, leaf = f".{name}".split(".")
        lines = text.splitlines()
        plain = [line for line in lines if line.startswith(f"{leaf} = ")]
        tables = [k for k, line in enumerate(lines) if line == f"[{name}]"]
        assert plain or tables, name
        for line in plain:
            assert len(line.partition("# ")[2]) > 3, f"{table}.{line}"
        for k in tables:
            assert lines[k - 1].startswith("# "), name


def test_the_toml_parses_to_the_values() -> None:
    text = randomization_toml(Randomization())
    assert tomllib.loads(text) == json.loads(json.dumps(asdict(Randomization())))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[polyps]\ncount = [5, 3]", r"polyps\.count.*\[5, 3\] begins above its end"),
        ("[polyps]\ncount = [0, 99]", r"polyps\.count.*b <= 24"),
        ("[polyps]\ncount = 12", r"polyps\.count"),
        ("[polyps]\ncounts = [1, 2]", r"polyps\.counts"),
        (NO_KIND, "must be above 0"),
        ("[anatomy]\nperistalsis = [0.0, 0.5]", r"anatomy\.peristalsis.*0\.1"),
        ("[anatomy]\nlength_mm = [100, 1600]", r"anatomy\.length_mm.*600"),
        ("[camera]\nfov_deg = [100, 190]", r"camera\.fov_deg.*170"),
        ("[mucosa]\nred = [0.0, 0.9]", r"mucosa\.red.*0\.05 <= a"),
        ("[nuisances.stool]\nprobability = 1.5\nstrength = [0, 1]", r"stool\.probability"),
        ("[nuisances.stool]\nprobability = 0.5\nstrength = [0, 2]", r"stool\.strength"),
        ("[nuisances.snow]\nprobability = 0.5\nstrength = [0, 1]", "snow"),
        ("[camera", "ranges.toml"),
        ("[camera]\nexposure = [0.7, inf]", r"camera\.exposure.*finite"),
        ("[camera]\nexposure = [nan, 1.0]", r"camera\.exposure.*finite"),
        ("[camera]\nlamps = [2, inf]", r"camera\.lamps.*finite"),
        ("[polyps]\nshare_ip = inf", r"polyps\.share_ip.*finite"),
        ("[polyps]\nbehind_folds = nan", r"polyps\.behind_folds.*finite"),
        ("[nuisances.stool]\nprobability = nan\nstrength = [0, 1]", r"stool\.probability.*finite"),
        ("[motion]\npauses_per_min = [0, -inf]", r"motion\.pauses_per_min.*finite"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "ranges.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        load_randomization(file)
    assert str(file) in str(raised.value)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.toml: can't be read"):
        load_randomization(tmp_path / "none.toml")
    (tmp_path / "picture.toml").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UserError, match=r"picture\.toml: can't be read"):
        load_randomization(tmp_path / "picture.toml")


def test_draws_are_even_over_their_range() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([draw(rng, (2.0, 6.0)) for _ in range(2000)])
    assert drawn.min() >= 2
    assert drawn.max() <= 6
    np.testing.assert_allclose(np.percentile(drawn, [25, 50, 75]), [3, 4, 5], atol=0.2)
    assert draw(rng, (3.0, 3.0)) == 3.0


def test_a_nuisance_takes_as_many_numbers_whether_it_is_there_or_not() -> None:
    after = []
    for probability in (0.0, 1.0):
        rng = np.random.default_rng(1)
        strength = draw_nuisance(rng, Nuisance(probability=probability, strength=(0.4, 0.6)))
        assert strength == 0 if probability == 0 else 0.4 <= strength <= 0.6
        after.append(rng.random())
    assert after[0] == after[1]


PARTS = ("anatomy", "polyps", "polyp_surface", "mucosa", "lookalikes", "residue", "light", "lens",
         "camera", "screen", "recording", "instruments", "motion")  # fmt: skip
"""The tables in which the rich world has ranges of its own."""


def is_off(leaf: Any) -> bool:
    """Whether nothing of it is there: `fold_thickness` and `metered` mean nothing by a 1."""
    if isinstance(leaf, Nuisance):
        return leaf.probability == 0
    return leaf in (0.0, (0.0, 0.0), (1.0, 1.0))


def test_the_rich_world_is_the_default_one_and_the_plain_one_has_none_of_it() -> None:
    """What is off in the plain world are the parts of the rich one: all of them are on."""
    plain, default, real = (
        leaves(ranges)
        for ranges in (load_randomization("plain"), Randomization(), load_randomization("real"))
    )
    parts = [name for name, leaf in plain.items() if is_off(leaf)]
    assert len(parts) > 75
    assert {name.split(".")[0] for name in parts} == set(PARTS)
    for name in parts:
        assert not is_off(default[name]), name
        assert not is_off(real[name]), name


def test_the_default_ranges_lie_within_those_for_real_footage() -> None:
    """Those are for training, and are wider than an ordinary examination."""
    plain, default, real = (
        leaves(ranges)
        for ranges in (load_randomization("plain"), Randomization(), load_randomization("real"))
    )
    rarer = [name for name, leaf in plain.items() if isinstance(leaf, Nuisance) and is_off(leaf)]
    assert len(rarer) > 40
    for name in rarer:
        assert default[name].probability < real[name].probability, name
        assert default[name].strength[1] <= real[name].strength[1], name
    for name in ("screen.panels", "screen.stills", "screen.twin", "recording.interlaced",
                 "camera.colour_mode", "nuisances.narrow_band"):  # fmt: skip
        assert default[name].probability <= 0.05, name


@pytest.mark.parametrize("name", NAMED)
def test_named_ranges_say_all_so_that_they_stay_when_the_defaults_change(name: str) -> None:
    said = tomllib.loads(ranges_file(name).read_text(encoding="utf-8"))
    assert said == json.loads(json.dumps(asdict(load_randomization(name))))


def test_a_name_means_the_ranges_of_the_package_and_a_path_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("real").write_text("[polyps]\ncount = [3, 5]\n")
    assert load_randomization("real").polyps.diameter_mm == (4.0, 30.0)
    for path in ("./real", Path("real"), tmp_path / "real"):
        assert load_randomization(path).polyps.count == (3, 5)
    assert chosen_randomization(None) == Randomization()
    assert chosen_randomization("./real") == load_randomization("./real")


def test_a_word_that_is_neither_name_nor_file_is_answered_with_the_names() -> None:
    with pytest.raises(UserError, match=r"rael: can't be read .*: plain, real$"):
        load_randomization("rael")
