"""What a library for WebDataset's tar files makes of ours."""

import json

import pytest

from tbe.data.storage.shard_index import INDEX, read_index
from tests.shards import make_shards


def test_webdataset_reads_the_same_videos_labels_and_facts(video_folder, tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="needs webdataset: pip install -e '.[dev]'")
    shards = make_shards(video_folder, tmp_path)
    index = read_index((shards / INDEX).read_bytes(), INDEX)
    tars = [str(shards / name) for name in index.places.shards]
    found = webdataset.WebDataset(tars, shardshuffle=False, empty_check=False).to_tuple("mp4", "cls", "json")
    rows = {}
    for video, label, facts in found:
        path = json.loads(facts)["path"]
        assert video == (video_folder / path).read_bytes()
        rows[path] = int(label), json.loads(facts)["num_frames"]
    labels, lengths = index.facts["label"].tolist(), index.facts["num_frames"].tolist()
    assert rows == dict(zip(index.column("path"), zip(labels, lengths, strict=True), strict=True))
