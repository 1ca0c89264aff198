import pytest
import torch

from endoforge.backends.torch_backend import TorchBackend
from endoforge.core.errors import UserError
from endoforge.detect.tinydet import TinyDetConfig
from endoforge.detect.weights import WeightsMetadata, load_weights
from endoforge.train import checkpoint as checkpoint_module
from endoforge.train.checkpoint import CheckpointFolder
from endoforge.train.config import TrainConfig
from endoforge.train.state import TrainState

METADATA = WeightsMetadata(model=TinyDetConfig(), input_size=(64, 32), resize_mode="force")


def folder_in(path, **facts):
    return CheckpointFolder(
        path, config=TrainConfig(), metadata=METADATA, facts={"--seed": "1"} | facts
    )


@pytest.fixture
def backend():
    return TorchBackend(METADATA.model, seed=0, device=torch.device("cpu"))


def test_an_empty_folder_is_a_new_training(tmp_path, backend):
    assert folder_in(tmp_path / "new" / "folder").load(backend) == TrainState()


def test_a_state_comes_back(tmp_path, backend):
    state = TrainState(epoch=3, step=2, loss_sum=1.5, best_mean_iou=0.25, best_epoch=1)
    folder_in(tmp_path).save(backend, state)
    other = TorchBackend(METADATA.model, seed=1, device=torch.device("cpu"))
    assert folder_in(tmp_path).load(other) == state
    assert torch.equal(other.weights()["stem.0.0.weight"], backend.weights()["stem.0.0.weight"])


def test_the_weights_say_what_they_are_for(tmp_path, backend):
    folder = folder_in(tmp_path)
    folder.save_best(backend)
    folder.save(backend, TrainState())
    for path in (folder.weights_path, folder.best_path):
        model, metadata = load_weights(path)
        assert metadata == METADATA
        assert torch.equal(model.stem[0][0].weight, backend.weights()["stem.0.0.weight"])


@pytest.mark.parametrize("kept", [0, 10, 100_000, -1])
def test_a_truncated_state_is_refused_by_name(tmp_path, backend, kept):
    folder = folder_in(tmp_path)
    folder.save(backend, TrainState())
    folder.state_path.write_bytes(folder.state_path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"tinydet_state\.pt: truncated, or not a training state"):
        folder.load(backend)


def test_foreign_states_are_refused_by_name(tmp_path, backend):
    folder = folder_in(tmp_path)
    for foreign in ({"model": torch.zeros(1)}, [1, 2]):
        torch.save(foreign, folder.state_path)
        with pytest.raises(UserError, match=r"tinydet_state\.pt: not a training state"):
            folder.load(backend)
    folder.state_path.write_text("hello")
    with pytest.raises(UserError, match=r"tinydet_state\.pt: truncated"):
        folder.load(backend)


def test_what_differs_is_said_with_the_mend(tmp_path, backend):
    folder_in(tmp_path).save(backend, TrainState())
    with pytest.raises(UserError) as caught:
        folder_in(tmp_path, **{"--seed": "2", "the model": "new"}).load(backend)
    assert "--seed was 1, now 2; the model was not there, now new" in str(caught.value)
    assert "give another --ckpt-dir" in str(caught.value)


def test_a_save_cut_short_anywhere_leaves_the_state_of_before(tmp_path, backend, monkeypatch):
    folder = folder_in(tmp_path)
    folder.save(backend, TrainState(epoch=1))

    def fail(*_, **__):
        raise OSError("disk full")

    for writer in ("save_weights", "write_json_atomic", "write_atomic"):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint_module, writer, fail)
            with pytest.raises(OSError, match="disk full"):
                folder.save(backend, TrainState(epoch=2))
        assert folder.load(backend) == TrainState(epoch=1)
        load_weights(folder.weights_path)
