"""Shards that `convert` puts into a bucket, and a training that reads them from there."""

from endoforge.formats.config import ConvertConfig
from endoforge.formats.converting import run_convert
from endoforge.train.config import TrainConfig
from endoforge.train.loop import train
from tests.train.conftest import write_root


def test_training_on_shards_of_a_bucket_ends_as_on_those_of_a_folder(
    store, other_machine, tmp_path, caplog
):
    runs = write_root(tmp_path / "runs", 3, 5)
    for place, ckpt in (
        (store.address("shards"), store.address("ckpt")),
        (str(tmp_path / "shards"), str(tmp_path / "ckpt")),
    ):
        run_convert(ConvertConfig(format="webdataset", paths=(str(runs), place)))
        with caplog.at_level("INFO"):
            train(
                TrainConfig(
                    input_root=place,
                    ckpt_dir=ckpt,
                    epochs=1,
                    batch_size=5,
                    target_size="64x32",
                    val_ratio=0.33,
                    device="cpu",
                )
            )
    assert other_machine
    assert ": 1 shard of " in caplog.text
    assert (
        store.get("ckpt/tinydet.safetensors")
        == (tmp_path / "ckpt/tinydet.safetensors").read_bytes()
    )
