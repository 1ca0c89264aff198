"""What a training starts from: its folder, other weights, another session's settings."""

import json

import cv2
import pytest
import torch

from endoforge.core.errors import UserError
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, load_weights, save_weights
from endoforge.train.loop import train

FIRST_LAYER = "stem.0.weight"


def saved_state(folder):
    return torch.load(folder / "tinydet_state.pt", weights_only=True)


def weights_file(path, seed=9, **others):
    model = TinyDetConfig(**others)
    metadata = WeightsMetadata(model=model, input_size=(96, 96), resize_mode="force")
    save_weights(path, build_tinydet(model, seed).state_dict(), metadata)
    return str(path)


def test_fresh_starts_over(small_config, recorder, tmp_path):
    train(small_config(epochs=1, lr_start=5e-3))
    first = (tmp_path / "checkpoints" / "tinydet.safetensors").read_bytes()
    train(small_config(epochs=1, seed=3, fresh=True))
    assert [report.step for report in recorder.steps] == [1, 2, 3, 4, 5] * 2
    assert (tmp_path / "checkpoints" / "tinydet.safetensors").read_bytes() != first


def test_fresh_keeps_the_old_training_where_the_new_one_cannot_begin(small_config, tmp_path):
    train(small_config(epochs=1))
    with pytest.raises(UserError):
        train(small_config(input_root=str(tmp_path / "nowhere"), fresh=True))
    assert (tmp_path / "checkpoints" / "tinydet_state.pt").exists()


def test_a_training_can_start_from_the_weights_of_another(small_config, tmp_path):
    start = weights_file(tmp_path / "start.safetensors")
    # Steps so small that the weights stay where they start.
    config = small_config(demo_checkpoint=start, epochs=1, lr_start=1e-12, lr_end=1e-12)
    result = train(config)
    begun = load_weights(tmp_path / "start.safetensors")[0].state_dict()[FIRST_LAYER]
    trained, metadata = load_weights(result.checkpoint)
    assert torch.allclose(trained.state_dict()[FIRST_LAYER], begun, atol=1e-6)
    assert metadata.input_size == (64, 32)  # of this training, not of that file
    state = saved_state(tmp_path / "checkpoints")
    assert state["backend"]["num_steps"] == 5  # counted from its own start


def test_muon_moves_nets_from_nothing_and_adamw_given_ones(small_config, tmp_path):
    moments = []
    for start in (None, weights_file(tmp_path / "start.safetensors")):
        train(small_config(demo_checkpoint=start, epochs=1, fresh=True))
        optimizer = saved_state(tmp_path / "checkpoints")["backend"]["optimizer"]
        moments.append(sorted(optimizer["down8.0.0.weight"]))
        assert sorted(optimizer[FIRST_LAYER]) == ["exp_avg", "exp_avg_sq", "step"]
    assert moments == [["momentum"], ["exp_avg", "exp_avg_sq", "step"]]


def test_a_state_with_another_optimizers_moments_is_no_state(small_config, tmp_path, caplog):
    train(small_config(epochs=1))
    path = tmp_path / "checkpoints" / "tinydet_state.pt"
    saved = torch.load(path, weights_only=True)
    optimizer = saved["backend"]["optimizer"]
    optimizer["down8.0.0.weight"] = {
        name: optimizer[FIRST_LAYER]["step"]
        if name == "step"
        else optimizer["down8.0.0.weight"]["momentum"]
        for name in optimizer[FIRST_LAYER]
    }
    torch.save(saved, path)
    train(small_config(epochs=2))
    assert "tinydet_state.pt: truncated, damaged, or not a training state" in caplog.text


def test_the_word_packaged_stands_for_the_weights_of_the_package(small_config, packaged):
    with pytest.raises(UserError, match="no weights of its own"):
        train(small_config(demo_checkpoint="packaged"))
    packaged.parent.mkdir()
    weights_file(packaged)
    config = small_config(demo_checkpoint="packaged", epochs=1, lr_start=1e-12, lr_end=1e-12)
    trained = load_weights(train(config).checkpoint)[0].state_dict()[FIRST_LAYER]
    begun = load_weights(packaged)[0].state_dict()[FIRST_LAYER]
    assert torch.allclose(trained, begun, atol=1e-6)


def test_a_training_under_way_goes_on_from_its_state_not_from_the_other_weights(
    small_config, tmp_path, caplog
):
    start = weights_file(tmp_path / "start.safetensors")
    train(small_config(demo_checkpoint=start, epochs=1))
    caplog.clear()
    with caplog.at_level("INFO"):
        train(small_config(demo_checkpoint=start, epochs=2))
    assert "starting from other weights" not in caplog.text
    assert saved_state(tmp_path / "checkpoints")["backend"]["num_steps"] == 10
    weights_file(tmp_path / "start.safetensors", seed=1)
    with pytest.raises(UserError, match="the weights of --demo-checkpoint was"):
        train(small_config(demo_checkpoint=start, epochs=3))


def test_weights_of_another_model_are_refused(small_config, tmp_path):
    start = weights_file(tmp_path / "start.safetensors", depths=(1, 1, 2))
    with pytest.raises(UserError, match=r"of another tinydet .*depths 1-1-2 and head"):
        train(small_config(demo_checkpoint=start))
    with pytest.raises(UserError, match=r"give --model tinydet, or name weights of bigdet$"):
        train(small_config(demo_checkpoint=start, model="bigdet"))
    with pytest.raises(UserError, match=r"none\.safetensors: no such checkpoint"):
        train(small_config(demo_checkpoint=str(tmp_path / "none.safetensors")))


def test_settings_that_may_change_are_told(small_config, caplog):
    train(small_config(epochs=1))
    with caplog.at_level("INFO"):
        train(small_config(epochs=2, lr_end=1e-5))
    assert "since the last session, --epochs was 1, now 2" in caplog.text
    assert "since the last session, --lr-end was 0.0001, now 1e-05" in caplog.text


def test_another_share_of_paint_is_another_training(small_config):
    train(small_config(epochs=1, paint=0.5))
    with pytest.raises(UserError, match=r"another training: --paint was 0\.5, now 0\.25\. To go"):
        train(small_config(epochs=2, paint=0.25))
    train(small_config(epochs=2, paint=0.5))


def test_changed_labels_and_pictures_are_noticed(make_root, small_config):
    root = make_root(2, 6)
    config = small_config(input_root=str(root), epochs=1, val_ratio=0.5)
    train(config)
    picture = sorted(root.rglob("*.png"))[0]
    whole = picture.read_bytes()
    pixels = cv2.imread(str(picture))
    assert pixels is not None
    cv2.imwrite(str(picture), pixels[::-1] // 2)
    with pytest.raises(UserError, match=r"the (training|validation) frames was 6 \("):
        train(config)
    picture.write_bytes(whole)
    train(config)
    label = sorted(root.rglob("frame_*.json"))[0]
    label.write_text(json.dumps(json.loads(label.read_text()) | {"polyp_labels": []}))
    with pytest.raises(UserError, match=r"the (training|validation) frames was 6 \("):
        train(config)


def test_the_first_batch_can_be_looked_at(small_config, tmp_path, caplog):
    with caplog.at_level("INFO"):
        train(small_config(epochs=1, batch_size=5, debug_batch=True))
    picture = cv2.imread(str(tmp_path / "checkpoints" / "debug_batch.png"))
    assert picture is not None
    # Five tiles of 64x32, eight times enlarged, in three columns and two rows, and the key.
    assert picture.shape == (2 * 256 + 6 + 6 + 28, 3 * 512 + 2 * 6, 3)
    text = caplog.text
    assert "first batch: images      5 of 64x32, 0.0" in text
    for name in ("boxes", "targets", "objectness", "edges", "loss"):
        assert f"first batch: {name}" in text


def test_looking_at_the_first_batch_changes_nothing(small_config, tmp_path):
    train(small_config(epochs=1))
    train(small_config(epochs=1, debug_batch=True, ckpt_dir=str(tmp_path / "looked")))
    for name in ("tinydet.safetensors", "tinydet_best.safetensors"):
        one, other = (tmp_path / folder / name for folder in ("checkpoints", "looked"))
        assert one.read_bytes() == other.read_bytes()


def test_a_stratified_split_is_written_to_its_manifest(make_root, small_config, tmp_path):
    root = make_root(4, 5)
    manifest = tmp_path / "split.json"
    train(
        small_config(
            input_root=str(root),
            epochs=1,
            stratify_split=True,
            val_ratio=0.25,
            split_manifest=str(manifest),
        )
    )
    sides = json.loads(manifest.read_text())
    assert (len(sides["train"]), len(sides["val"])) == (15, 5)
