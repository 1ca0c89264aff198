"""Which weights the page can choose."""

import pytest

from endoforge.core.errors import UserError
from endoforge.view import weight_choices
from endoforge.view.weight_choices import WeightChoices


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weight_choices, "packaged_weights", lambda: None)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


def test_named_ones_those_beside_the_usual_and_packaged_ones(folder, monkeypatch):
    for name in ("tinydet", "tinydet.kept-10", "tinydet.kept-2", "tinydet_best"):
        (folder / f"checkpoints/{name}.safetensors").touch()
    (folder / "checkpoints/tinydet_state.pt").touch()
    packaged = folder / "demo.safetensors"
    monkeypatch.setattr(weight_choices, "packaged_weights", lambda: packaged)
    choices = WeightChoices("checkpoints/tinydet.safetensors", ["other/a.safetensors"])
    assert choices.names() == (
        "checkpoints/tinydet.safetensors",
        "other/a.safetensors",
        "checkpoints/tinydet.kept-2.safetensors",
        "checkpoints/tinydet.kept-10.safetensors",
        "checkpoints/tinydet_best.safetensors",
        "packaged",
    )
    assert choices.path("packaged") == packaged


def test_what_comes_later_can_be_chosen_later(folder, monkeypatch):
    monkeypatch.setattr(weight_choices, "LOOK_EVERY_S", 0.0)
    choices = WeightChoices("checkpoints/tinydet.safetensors", [])
    assert choices.names() == ()
    (folder / "checkpoints/tinydet_best.safetensors").touch()
    assert choices.names() == ("checkpoints/tinydet_best.safetensors",)


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.safetensors", "", "\ud800"])
def test_no_other_file_can_be_named(folder, name):
    (folder / "secret.safetensors").touch()
    choices = WeightChoices("checkpoints/tinydet.safetensors", [])
    with pytest.raises(UserError, match="not among the weights that can be chosen"):
        choices.path(name)
