import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.common.bucket import SECRET, first, half, late
from tbe.data.clip_samplers import UniformClips
from tbe.data.dataset import VideoDataset
from tbe.data.fault_tolerance.loader import FaultTolerantDataset
from tbe.data.readers import DecodeError
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.sources.video_lists import VideoLists
from tbe.data.storage import retrying
from tbe.data.storage.bucket import BucketSettings, BucketStore
from tbe.data.storage.file_cache import FileCache
from tbe.data.storage.pieces import LostPiece, Piece
from tbe.data.storage.retrying import StoreRefused

FILE = Piece("class 0/video 0.mp4")
ERROR = (500, "InternalError")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.01)


def source(root, cache=None, **bucket):
    settings = {"ahead": 2, "patience": 1, **bucket}
    splits = {"train": "train.txt", "test": "test.txt"}
    folder = None if cache is None else str(cache)
    return VideoLists("mine", str(root), splits, 2, bucket=settings, cache={"folder": folder, "size": 1})


def store(addresses, cache=None, **settings):
    return BucketStore(addresses["files"], BucketSettings(**{"ahead": 0, "patience": 1, **settings}), cache)


@pytest.mark.parametrize("kind", ["files", "shards", "http"])
def test_a_bucket_has_the_same_videos_lists_and_labels_as_the_disk(kind, bucket, addresses, video_folder, tmp_path):
    address = f"{bucket.url}/bucket/files" if kind == "http" else addresses[kind]
    remote, local = source(address, tmp_path), source(video_folder)
    remote.prepare()
    for split in ("train", "val", "test"):
        assert remote.records(split).paths.tolist() == local.records(split).paths.tolist()
        assert remote.records(split).labels.tolist() == local.records(split).labels.tolist()
    files, found = (
        FaultTolerantDataset(VideoDataset(data.records("train"), PyAvReader(), UniformClips(4, 2)), 60)
        for data in (local, pickle.loads(pickle.dumps(remote)))
    )
    for keys in ([0, 3, 2, 3], [5, 1]):
        for one, other in zip(files.__getitems__(keys), found.__getitems__(keys), strict=True):
            assert torch.equal(one["clips"], other["clips"])
    assert found.path(0) == f"{address}/class 0/video 0.mp4"
    bucket.requests.clear()
    found.__getitems__([0, 1, 2])
    assert not bucket.requests  # all were kept on the disk


def test_lists_are_copied_again_once_they_are_others(bucket, video_folder, tmp_path):
    address = bucket.put_folder(video_folder, "edited")
    assert len(source(address, tmp_path).records("test")) == 4
    bucket.requests.clear()
    assert len(source(address, tmp_path).records("test")) == 4
    assert not [request for request in bucket.requests if request == "GET /bucket/edited/test.txt"]
    bucket.put("edited/test.txt", b"class 0/video 8.mp4 0\n")
    assert len(source(address, tmp_path).records("test")) == 1


@pytest.mark.parametrize("fault", [ERROR, (503, "SlowDown"), half, late(0.8)], ids=["500", "503", "truncated", "slow"])
def test_what_fails_for_a_while_is_asked_for_again(fault, bucket, addresses, video_folder):
    bucket.fault = first(2 if fault is not late else 1, fault)
    found = store(addresses, timeout=0.3, patience=20).read(FILE)
    assert found == (video_folder / FILE.file).read_bytes()
    assert len(bucket.requests) >= 3


def test_a_store_that_does_not_answer_ends_the_run_and_blames_no_video(bucket, addresses, tmp_path):
    records = source(addresses["files"], tmp_path).records("train")
    bucket.fault = lambda request: ERROR
    videos = FaultTolerantDataset(VideoDataset(records, PyAvReader(), UniformClips(4, 2)), 60, replaces=True)
    with pytest.raises(StoreRefused, match=r"could not read s3://bucket/files/.* for 1 s .* resume=latest goes on"):
        videos.__getitems__([0, 1])
    assert not videos.failed()
    bucket.fault = lambda request: None
    assert videos.__getitems__([0])[0]["replaced"] == []


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId", "AccessDenied"])
def test_refused_credentials_are_looked_for_once_more_and_never_shown(code, bucket, addresses, monkeypatch, caplog):
    bucket.fault = first(1, (403, code))
    assert store(addresses).read(FILE)  # new ones lay where credentials are looked for
    bucket.fault = lambda request: (403, code)
    monkeypatch.setattr(
        "benchmarks.common.bucket.FAULT", f"<Error><Code>{{}}</Code><Message>{{}} {SECRET}</Message></Error>"
    )
    with caplog.at_level("DEBUG", logger="tbe"), pytest.raises(StoreRefused, match="Renew the credentials") as refused:
        store(addresses).read(FILE)
    assert SECRET not in f"{refused.value} {caplog.text}"


@pytest.mark.parametrize("kind", ["files", "shards"])
def test_what_is_missing_or_changed_is_named_and_replaced(kind, bucket, video_folder, shards, tmp_path):
    prefix = f"changing {kind}"
    address = bucket.put_folder(video_folder if kind == "files" else shards, prefix)
    records = source(address, tmp_path).records("test")
    lost = 0
    if kind == "files":
        bucket.delete(f"{prefix}/class 0/video 8.mp4")
    else:
        piece = records.places.piece(0)
        bucket.put(f"{prefix}/{piece.file}", bytes(piece.offset + piece.size // 2))
        lost = 1
    videos = FaultTolerantDataset(VideoDataset(records, PyAvReader(), UniformClips(4, 2)), 60, replaces=True)
    items = videos.__getitems__([(0, 1), (0, 2)])
    named = {fault.path for item in items for fault in item["faults"]}
    assert f"{address}/class 0/video 8.mp4" in named
    assert items[0]["replaced"][0][0] == f"{address}/class 0/video 8.mp4"
    with pytest.raises(
        DecodeError, match=("shard has changed|got other bytes|expected .* bytes" if lost else "is not there")
    ):
        records.to_open(0)


def test_a_shard_that_is_replaced_is_not_taken_for_the_one_that_was_indexed(bucket, shards, tmp_path):
    address = bucket.put_folder(shards, "replaced")
    records = source(address, tmp_path / "cache").records("test")
    piece = records.places.piece(0)
    content = (shards / piece.file).read_bytes()
    bucket.put(f"replaced/{piece.file}", content[:512] + bytes(len(content) - 512))
    with pytest.raises(
        DecodeError, match=r"video 8\.mp4: expected the content that the index names .*, got other bytes"
    ):
        records.to_open(0)
    bucket.put(f"replaced/{piece.file}", content)
    assert records.to_open(0).content == content[piece.offset : piece.offset + piece.size]


def test_a_cache_without_room_keeps_nothing_and_the_run_goes_on(bucket, addresses, tmp_path, caplog):
    (tmp_path / "file").touch()
    reader = store(addresses, FileCache(tmp_path / "file" / "cache", 10**6))
    assert reader.read(FILE) == reader.read(FILE)
    assert len(bucket.requests) == 2
    assert sum("expected a folder with room" in record.getMessage() for record in caplog.records) == 1


def test_a_process_that_is_killed_in_a_download_leaves_nothing_that_is_not_whole(bucket, addresses, tmp_path):
    reader = store(addresses, FileCache(tmp_path / "cache", 10**6))
    bucket.fault = first(1, late(30))
    if (child := os.fork()) == 0:
        reader.read(FILE)
        os._exit(0)
    while not bucket.requests:
        torch.rand(100, 100)
    os.kill(child, 9)
    assert os.waitpid(child, 0)[1] == 9
    assert not list((tmp_path / "cache").rglob("*.part"))
    assert reader.read(FILE) == reader.read(FILE)
    assert len(bucket.requests) == 2


def test_an_evaluation_is_cached_by_the_content_of_shards(addresses, bucket, tmp_path):
    packed, single = (source(addresses[kind], tmp_path).records("train") for kind in ("shards", "files"))
    assert packed.version(0) != packed.version(1)
    assert single.version(0) is None
    assert packed.select(np.array([1])).version(0) == packed.version(1)


def test_a_piece_that_is_not_there_is_lost_not_asked_for_again(bucket, addresses):
    with pytest.raises(LostPiece, match=r"s3://bucket/files/nowhere\.mp4 is not there"):
        store(addresses).read(Piece("nowhere.mp4"))
    assert len(bucket.requests) == 1
    assert store(addresses).version("class 0") is None
    assert Path(FILE.file).name in bucket.requests[0] or "nowhere" in bucket.requests[0]


def test_a_public_bucket_is_read_without_credentials(bucket, addresses, monkeypatch, clients_made_anew):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    assert store(addresses, anonymous=True).read(FILE)
    with pytest.raises(StoreRefused, match=r"could not read .*: NoCredentialsError.* Renew the credentials"):
        store(addresses, patience=0.5).read(FILE)


def test_shards_of_a_bucket_need_no_folder_with_lists_on_disk(bucket, addresses, video_folder):
    splits = {"train": "train.txt", "test": "test.txt"}
    packed = VideoLists("mine", addresses["shards"], splits, 2, lists=str(video_folder))
    packed.prepare()
    assert packed.records("test").to_open(0).content == (video_folder / "class 0" / "video 8.mp4").read_bytes()
    with pytest.raises(
        ValueError, match=r"data\.cache\.folder: expected a folder, for the lists of s3://bucket/shards"
    ):
        VideoLists("mine", addresses["shards"], splits, 2).prepare()


@pytest.mark.parametrize("name", ["../../elsewhere.txt", "/elsewhere.txt", "a/../../elsewhere.txt"])
def test_no_list_is_copied_out_of_the_cache(name, bucket, addresses, tmp_path):
    lists = VideoLists("mine", addresses["files"], {"train": name}, 2, cache={"folder": str(tmp_path / "a" / "cache")})
    with pytest.raises(ValueError, match="expected files below s3://bucket/files"):
        lists.prepare()
    assert not list(tmp_path.rglob("elsewhere*"))
