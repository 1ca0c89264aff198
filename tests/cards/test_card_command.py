"""A card says what files say of weights, calls the rest unknown, and invents nothing."""

import json
import re
import shutil

import pytest

from endoforge import cli
from endoforge.cards.card_command import run_card
from endoforge.cards.config import CardConfig
from endoforge.core.errors import UserError
from endoforge.detect.packaged import Provenance, weights_digest


def card_of(weights, **flags) -> str:
    return run_card(CardConfig(checkpoint=str(weights), **flags)).card


def section(card: str, heading: str) -> str:
    return card.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_weights_alone_tell_what_they_are_and_no_more(weights):
    card = card_of(weights)
    assert weights_digest(weights) in card
    for words in ("flat, stalked", "64x32 pixels RGB, letterbox", "No medical use"):
        assert words in card
    assert section(card, "How it was made").strip() == (
        "Unknown: the file doesn't say it, and train.json beside it: No such file or directory."
    )
    assert section(card, "How good it is, and where it fails").strip().startswith("Unknown")
    assert section(card, "Licence").strip().startswith("Unknown")
    assert "Notes" not in card


def test_the_training_beside_them_is_told_without_where_things_lay(weights, training):
    weights.with_name("train.json").write_text(json.dumps(training))
    made = section(card_of(weights), "How it was made")
    assert "| learned from | frames of the folder `captures` |" in made
    assert "`start.safetensors`, whose SHA-256 begins with `0123456789ab`" in made
    assert "| these weights | the best, of epoch 8 |" in made
    assert "| the training frames | `16 (58786266708a)` |" in made
    assert "somebody" not in made
    good = section(card_of(weights), "How good it is, and where it fails")
    assert "held out of its training, by which these weights were chosen | 8 | 5 | 0.500" in good


@pytest.mark.parametrize(
    ("patience", "told"),
    [(0, "the latest, of 20 epochs out of 20"), (3, "the latest, .*, or the best, of epoch 8")],
)
def test_the_latest_weights_have_no_validation_of_their_own(weights, training, patience, told):
    latest = weights.rename(weights.with_name("tinydet.safetensors"))
    training["config"]["patience"] = patience
    latest.with_name("train.json").write_text(json.dumps(training))
    made = section(card_of(latest), "How it was made")
    assert re.search(rf"\| these weights \| {told} \|", made)
    assert "Unknown: no measurement" in card_of(latest)


def test_a_simulated_training_names_its_ranges(weights, training):
    training["config"] |= {"simulate": True, "randomization": "real", "demo_checkpoint": None}
    weights.with_name("train.json").write_text(json.dumps(training))
    made = section(card_of(weights), "How it was made")
    assert "frames simulated as it went, drawn from the ranges `real`" in made
    assert "nothing: weights drawn by chance" in made


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("mine.safetensors", {}, "the file has another name than `train` gives"),
        ("tinydet_best.safetensors", {"model": {}}, "train.json beside it is of another model"),
        (
            "tinydet_best.safetensors",
            {"state": 7},
            "train.json beside it isn't as this version of `train` writes it",
        ),
    ],
)
def test_a_training_of_which_it_is_not_known_is_unknown(weights, training, name, change, why):
    weights.with_name("train.json").write_text(json.dumps(training | change))
    path = weights.rename(weights.with_name(name))
    assert f"Unknown: the file doesn't say it, and {why}." in card_of(path)


def test_kept_weights_go_with_the_training_kept_beside_them(weights, training):
    weights.with_name("train.json").write_text("{}")
    weights.with_name("train.kept-2.json").write_text(json.dumps(training))
    kept = weights.rename(weights.with_name("tinydet_best.kept-2.safetensors"))
    assert "the best, of epoch 8" in card_of(kept)


def test_packaged_weights_tell_their_command_and_licence(weights, packaged, monkeypatch):
    packaged.parent.mkdir()
    shutil.copy(weights, packaged)
    made = Provenance(command="endoforge train `a|b`", seed=1, commit="c" * 40, note="<b>")
    for place in ("endoforge.detect.packaged", "endoforge.cards.model_card"):
        monkeypatch.setattr(f"{place}.provenance_of", lambda _: made)
    card = card_of("packaged")
    assert card.startswith("# Model card: the weights that come with EndoForge\n")
    assert "| command | `` endoforge train `a\\|b` `` |" in card
    assert r"| note | \<b\> |" in card
    assert section(card, "Licence").strip().startswith("Apache-2.0")


def test_report_and_notes_become_part_of_it(weights, eval_line, report_of, tmp_path, caplog):
    notes = tmp_path / "notes.md"
    notes.write_text("**Ours.** Naïve.\n", encoding="utf-16")
    report = report_of({"benchmark": "train"}, eval_line)
    card = card_of(weights, report=str(report), notes=str(notes))
    assert "| every frame of real | 8 | 5 |" in card
    assert card.endswith("## Notes\n\n**Ours.** Naïve.\n")
    assert "left out of --report: 1 x line: no measurement" in caplog.text


def test_the_command_prints_or_writes_the_same_card(weights, tmp_path, capsys):
    assert cli.run(["card", str(weights)]) == 0
    printed = capsys.readouterr().out
    output = tmp_path / "new" / "CARD.md"
    assert cli.run(["card", str(weights), "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"wrote {output}\n"
    assert output.read_text() == printed
    assert [path.name for path in output.parent.iterdir()] == ["CARD.md"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "CHECKPOINT: name a file of weights"),
        (["absent.safetensors"], "absent.safetensors: no such checkpoint"),
        (["s3://bucket/a.safetensors"], "is for folders and files of this machine"),
        (["WEIGHTS", "--notes", "absent.md"], "--notes absent.md: No such file"),
        (["WEIGHTS", "--report", "absent.jsonl"], "--report absent.jsonl: No such file"),
        (["WEIGHTS", "--output", "WEIGHTS"], "--output .* is that of CHECKPOINT too"),
        (["WEIGHTS", "--output", "."], "--output .: is a folder"),
    ],
)
def test_what_cannot_be_used_is_a_line(weights, words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    typed = [str(weights) if word == "WEIGHTS" else word for word in words]
    before = weights.read_bytes()
    assert cli.run(["card", *typed]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(said, line), line
    assert weights.read_bytes() == before


def test_a_name_cannot_break_out_of_its_cell(weights, training):
    training["facts"]["| evil\n# head <img>"] = "`|\n"
    weights.with_name("train.json").write_text(json.dumps(training))
    rows = section(card_of(weights), "How it was made").strip().splitlines()
    assert r"| \| evil\\n\# head \<img\> | `` `\|\n `` |" in rows


def test_an_address_of_no_training_is_refused_with_its_mend():
    with pytest.raises(UserError, match="or packaged for those that come with EndoForge"):
        CardConfig(checkpoint=" ")
