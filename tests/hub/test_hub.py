"""Push and pull, against a stand-in of the Hub on this machine."""

import hashlib
import io
import json
import pickle
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from endoforge import cli
from endoforge.cards.model_card import known_weights, model_card
from endoforge.core.errors import UserError
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, load_weights, save_weights
from endoforge.hub.address import parse_address
from endoforge.hub.config import PullConfig, PushConfig
from endoforge.hub.pulling import run_pull
from endoforge.hub.pushing import run_push

from .stand_in import TOKEN, StandIn, serving

PLACES = {
    "ENDPOINT": "",
    "HUGGINGFACE_CO_URL_TEMPLATE": "/{repo_id}/resolve/{revision}/{filename}",
}
"""What the library makes of HF_ENDPOINT when it is imported."""
ADDRESS, SHARDS = "hf://me/polyps", "hf://datasets/me/frames"


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[StandIn]:
    """An empty Hub, on which we are logged in, and an empty folder to work in."""
    with serving(StandIn()) as one:
        for name, pattern in PLACES.items():
            monkeypatch.setattr(constants, name, one.address + pattern)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        (tmp_path / "work").mkdir()
        monkeypatch.chdir(tmp_path / "work")
        yield one
        huggingface_hub.close_session()


@pytest.fixture
def weights(tmp_path) -> Path:
    model = TinyDetConfig(classes=("Ip", "adenoma `x`\n# no heading"))
    metadata = WeightsMetadata(model=model, input_size=(64, 48), resize_mode="letterbox")
    path: Path = tmp_path / "trained.safetensors"
    save_weights(path, build_tinydet(model, seed=1).state_dict(), metadata)
    return path


@pytest.fixture
def shards(tmp_path) -> Path:
    folder: Path = tmp_path / "shards"
    folder.mkdir()
    for name in ("train-000000.tar", "val-000000.tar"):
        (folder / name).write_bytes(shard(name))
    return folder


def shard(name: str) -> bytes:
    label = {
        "frame_id": 0,
        "sim_time": 0.0,
        "unix_time": 0.0,
        "image": "images/a.png",
        "image_present": True,
        "camera_active": True,
        "polyp_seed": 0,
        "polyp_labels": [],
        "width": 8,
        "height": 8,
    }
    file = io.BytesIO()
    with tarfile.TarFile(fileobj=file, mode="w") as archive:
        for ending, data in ((".png", b"\x89PNG"), (".json", json.dumps(label).encode())):
            member = tarfile.TarInfo(f"run_{name[0]}/frame{ending}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def push(what, to=ADDRESS, **more):
    return run_push(PushConfig(what=str(what), to=to, **more))


def pull(repository=ADDRESS, **more):
    return run_pull(PullConfig(repository=repository, **more))


def refused(call, *words):
    """`call` ends with one line that has these words."""
    with pytest.raises(UserError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    return text


def test_weights_go_there_and_come_back_the_same(hub, weights):
    pushed = push(weights)
    repo = hub.repos["models/me/polyps"]
    assert repo.private, "unless --public is given"
    assert repo.files["model.safetensors"] == weights.read_bytes()
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert pushed.lines() == [
        f"model.safetensors: SHA-256 {digest}",
        f"pushed {ADDRESS}@{repo.head}, seen by you alone (and those you let in)",
    ]
    pulled = pull()
    assert Path("polyps.safetensors").read_bytes() == weights.read_bytes()
    assert pulled.lines()[0] == f"pulled {ADDRESS}@{repo.head}"
    assert digest in pulled.lines()[1]
    assert "is there already, the same" in pull().lines()[1]
    assert [path.name for path in Path().iterdir()] == ["polyps.safetensors"]


def test_the_readme_is_the_model_card_with_the_head_that_the_hub_reads(hub, weights):
    push(weights)
    text = hub.repos["models/me/polyps"].files["README.md"].decode()
    assert text.startswith("---\ntags:\n")
    assert model_card(known_weights(weights), []) in text
    assert "\n# no heading" not in text
    assert text.endswith("--checkpoint weights.safetensors\n```\n")
    push(weights, to="hf://me/other", license="apache-2.0")
    text = hub.repos["models/me/other"].files["README.md"].decode()
    assert text.startswith("---\nlicense: apache-2.0\n")
    assert "Licence: apache-2.0, as who pushed it says." in text


def test_a_card_of_ones_own_replaces_it_and_stays(hub, weights, tmp_path):
    card = tmp_path / "card.md"
    card.write_text("# Mine\n")
    push(weights, card=str(card))
    push(weights)
    assert hub.repos["models/me/polyps"].files["README.md"] == b"# Mine\n"


@pytest.mark.usefixtures("hub")
def test_a_revision_is_held_still(weights, tmp_path):
    first = push(weights)
    model = TinyDetConfig()
    metadata = WeightsMetadata(model=model, input_size=(64, 48), resize_mode="force")
    other = tmp_path / "other.safetensors"
    save_weights(other, build_tinydet(model, seed=2).state_dict(), metadata)
    push(other)
    pull(f"{ADDRESS}@{first.commit}", output="old/first.safetensors")
    assert Path("old/first.safetensors").read_bytes() == weights.read_bytes()
    pull(output="second.safetensors")
    assert load_weights(Path("second.safetensors"))[1] == metadata
    refused(lambda: pull(f"{ADDRESS}@v9", output="x"), f"{ADDRESS}@v9: no such revision")


def test_shards_go_there_and_come_back_the_same(hub, shards):
    push(shards, SHARDS)
    repo = hub.repos["datasets/me/frames"]
    assert repo.private
    assert "2 labelled frames of colonoscopy in 2 WebDataset shards" in (
        repo.files["README.md"].decode()
    )
    pulled = pull(SHARDS)
    assert pulled.lines()[1] == "frames: 2 frames in 2 shards"
    assert {path.name: path.read_bytes() for path in Path("frames").iterdir()} == {
        path.name: path.read_bytes() for path in shards.iterdir()
    }
    refused(lambda: pull(SHARDS), "--output frames: is there already")


def test_a_repository_that_everybody_sees_needs_the_flag(hub, weights):
    push(weights, public=True)
    repo = hub.repos["models/me/polyps"]
    assert not repo.private
    before = repo.head
    refused(lambda: push(weights), f"{ADDRESS}: everybody sees it; give --public")
    assert repo.head == before


def test_who_is_not_logged_in_is_told_how(hub, weights, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    refused(lambda: push(weights), "you aren't logged in", "hf auth login", "HF_TOKEN")
    assert not hub.repos
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    refused(lambda: push(weights), "a token that isn't taken")


def test_a_token_that_may_not_write_is_said(hub, weights):
    hub.read_only = True
    refused(lambda: push(weights), "this token may not do that", "may write")


def test_no_such_repository(hub):
    assert not hub.repos
    refused(pull, f"{ADDRESS}: no such repository that you may see")


@pytest.mark.usefixtures("hub")
def test_no_network(monkeypatch, weights):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for call in (pull, lambda: push(weights)):
        refused(call, f"{ADDRESS}: can't be reached", "network")


@pytest.mark.usefixtures("hub")
def test_what_is_in_the_way_stays(weights):
    push(weights)
    Path("polyps.safetensors").write_bytes(b"mine")
    refused(pull, "--output polyps.safetensors: is there already, and isn't replaced")
    assert Path("polyps.safetensors").read_bytes() == b"mine"
    refused(lambda: pull(output="."), "--output .: is a folder")


def test_nothing_but_weights_of_ours_is_pushed(hub, tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    pickled = tmp_path / "weights.pt"
    pickled.write_bytes(pickle.dumps({"weights": [1.0]}))
    refused(lambda: push(foreign), "foreign.safetensors: not weights of")
    refused(lambda: push(pickled), "weights.pt: not a whole safetensors file")
    refused(lambda: push(tmp_path / "absent"), "no such checkpoint")
    refused(lambda: push(tmp_path), "shards go to hf://datasets/me/polyps")
    refused(lambda: push("s3://bucket/weights"), "fetch it first")
    assert not hub.repos


def test_nothing_but_shards_is_pushed_to_a_data_set(hub, tmp_path, weights, shards):
    refused(lambda: push(weights, SHARDS), "no folder with shards", "hf://me/frames")
    refused(lambda: push(tmp_path / "absent", SHARDS), "no folder with shards")
    (shards / "val-000000.tar").write_bytes(shard("val")[:700])
    refused(lambda: push(shards, SHARDS), "val-000000.tar: not a whole tar file")
    assert not hub.repos


def test_what_is_no_weights_of_ours_there_never_gets_a_name(hub, weights):
    push(weights)
    repo = hub.repos["models/me/polyps"]
    repo.commit({"model.safetensors": pickle.dumps(print)})
    text = refused(pull, f"{ADDRESS}: model.safetensors there: not a whole safetensors file")
    assert text.endswith("; name another")
    assert not list(Path().iterdir())
    repo.commits["1" * 40] = {"pytorch_model.bin": b"x", "a\x1b[2Jb": b""}
    refused(pull, "has no model.safetensors", "pytorch_model.bin", r"a\x1b[2Jb")


def test_what_is_not_what_the_hub_lists_never_gets_a_name(hub, weights):
    push(weights)
    hub.spoilt = True
    refused(pull, "not what the Hub lists, by its SHA-256")
    assert not list(Path().iterdir())


def test_shards_that_are_damaged_or_lead_elsewhere_leave_no_folder(hub, shards):
    push(shards, SHARDS)
    repo = hub.repos["datasets/me/frames"]
    repo.commit({"val-000000.tar": shard("val")[:700]})
    refused(lambda: pull(SHARDS), "val-000000.tar there: not a whole tar file")
    repo.commit({"../val.tar": shard("val")})
    refused(lambda: pull(SHARDS), "../val.tar is no plain name")
    repo.commits["1" * 40] = {"README.md": b""}
    refused(lambda: pull(SHARDS), "has no shard")
    assert not list(Path().iterdir())


def test_what_the_hub_left_out_is_said(hub, weights):
    hub.ignored = {"model.safetensors"}
    refused(lambda: push(weights), "lacks model.safetensors", ".gitignore")


@pytest.mark.usefixtures("hub")
def test_a_card_that_the_hub_does_not_take(weights, tmp_path):
    card = tmp_path / "card.md"
    card.write_text("---\nbroken\n---\n")
    refused(lambda: push(weights, card=str(card)), "the Hub refuses it", "broken")
    card.write_bytes(b"\xff\xfe\xff")
    refused(lambda: push(weights, card=str(card)), "--card", "can't be read")
    refused(lambda: push(weights, card=str(tmp_path / "no.md")), "--card", "can't be read")


@pytest.mark.parametrize(
    "text",
    ["", "polyps", "hf://", "hf://polyps", "hf://a/b/c", "hf://../b", "hf://a/..", "hf://a/b@",
     "hf://datasets/a", "https://huggingface.co/a/b", "hf://a/b\x1b[2J", "s3://a/b"],
)  # fmt: skip
def test_what_is_no_address_is_one_line(text):
    line = refused(lambda: parse_address(text), "must be hf://USER/NAME")
    assert line.isprintable()


@pytest.mark.parametrize(
    "text", ["hf://a/b", "hf://a-1/b.c_d@main", "hf://datasets/a/b", "hf://a/b@refs/pr/1"]
)
def test_an_address_is_shown_as_it_was_given(text):
    assert str(parse_address(text)) == text


def test_flags_that_do_not_go_together():
    refused(lambda: push(""), "WEIGHTS|SHARDS: name a file")
    refused(lambda: push(ADDRESS, "x"), "comes second")
    refused(lambda: push("x", f"{ADDRESS}@main"), "leave @")
    refused(lambda: push("x", license="MIT License"), "--license 'MIT License'")
    refused(lambda: push("x", license="mit", card="c"), "leave one of the two out")
    refused(lambda: pull(output=" "), "--output: expected")


def test_without_the_package_one_line_says_what_to_install(monkeypatch, weights):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    mend = "the Hub needs what isn't installed (import of huggingface_hub halted; None in "
    refused(lambda: push(weights), mend)
    refused(pull, 'pip install "endoforge[hub]"')


@pytest.mark.usefixtures("hub")
def test_the_command_line(weights, capsys):
    assert cli.run(["push", str(weights), ADDRESS]) == 0
    assert cli.run(["pull", ADDRESS, "--output", "mine.safetensors"]) == 0
    out = capsys.readouterr().out
    assert f"pushed {ADDRESS}@" in out
    assert "mine.safetensors: weights," in out
    assert cli.run(["pull", "hf://me/nothing"]) == 2
    assert "endoforge: error: hf://me/nothing: no such repository" in capsys.readouterr().err
