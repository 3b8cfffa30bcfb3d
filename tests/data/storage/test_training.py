"""What is trained does not depend on where the videos lie: in files, in shards on disk, or in shards of a bucket."""

import pytest
import torch
from omegaconf import OmegaConf

from benchmarks.common.bucket import SECRET
from tbe.launch.hydra_callbacks import RunFolder

RECIPE = ["experiment=kinetics_be", "backbone=tiny", "backbone.widths=[4,8,8,8]", "contrastive.queue_size=16"]
RECIPE += ["clip.num_frames=4", "clip.stride=2", "clip.size=32", "clip.short_side=32", "data.splits.test=test.txt"]
RECIPE += ["data.val_share=0.2", "batch_size=2", "epochs=2", "trainer=cpu"]


def weights(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.slow
def test_files_shards_and_a_bucket_give_the_same_weights_to_the_bit(
    train, video_folder, shards, addresses, bucket, tmp_path
):
    of_files, of_shards, of_bucket = (
        train(*RECIPE, f"data.root={root}", f"data.cache.folder={tmp_path}/cache", *more, folder=folder, small=False)
        for folder, root, *more in (
            ("files", video_folder, "datamodule.num_workers=0"),
            ("shards", shards, "datamodule.num_workers=0"),
            ("bucket", addresses["shards"], "datamodule.num_workers=1", "data.bucket.ahead=2"),
        )
    )
    expected = weights(of_files)
    for run in (of_shards, of_bucket):
        found = weights(run)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected), run
    assert any(request.startswith("GET") and request.endswith(".tar") for request in bucket.requests)
    kept = [file for file in of_bucket.rglob("*") if file.is_file()]
    assert not [file for file in kept if SECRET.encode() in file.read_bytes()]
    assert not (of_bucket / "quarantine.csv").exists()


def test_credentials_on_the_command_line_end_it_before_anything_is_written(train, tmp_path):
    with pytest.raises(ValueError, match=r"data\.root: expected an address without credentials") as refused:
        train("data=kinetics400", f"data.root=s3://key:{SECRET}@bucket/k400", small=False)
    assert SECRET not in str(refused.value)
    config = OmegaConf.create({"data": {"root": f"https://host/videos?X-Amz-Signature={SECRET}"}})
    for start in (RunFolder().on_run_start, RunFolder().on_multirun_start):  # Hydra writes soon after
        with pytest.raises(SystemExit, match=r"data\.root: expected an address without credentials"):
            start(config)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
