"""Two processes train on shards in a bucket as they do on files."""

import pytest
import torch

from tests.data.storage.test_training import RECIPE, weights
from tests.forked import pair


@pytest.mark.slow
def test_two_processes_train_the_same_weights_on_files_and_on_shards_in_a_bucket(
    train, video_folder, addresses, bucket, tmp_path
):
    for folder, root in (("files", video_folder), ("bucket", addresses["shards"])):
        options = [f"data.root={root}", f"data.cache.folder={tmp_path}/cache", "datamodule.num_workers=0", "epochs=1"]
        given = [*RECIPE, "trainer=ddp_cpu", *options]
        assert pair(lambda rank, given=given, folder=folder: train(*given, folder=folder, small=False)) == [0, 0]
    expected, found = (weights(tmp_path / "runs" / folder) for folder in ("files", "bucket"))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    read = [request for request in bucket.requests if request.startswith("GET") and request.endswith(".tar")]
    assert read
    assert not list((tmp_path / "runs").rglob("quarantine.csv"))
