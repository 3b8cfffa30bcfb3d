import pickle
from pathlib import Path

import pytest
import torch

from tbe.data.clip_samplers import UniformClips
from tbe.data.dataset import VideoDataset
from tbe.data.readers import DecodeError, DecordReader, FlowFolderReader, FrameFolderReader
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.readers.memory_reader import MemoryReader
from tbe.data.readers.mixed_reader import MixedReader
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.readers.torchcodec_reader import TorchCodecReader
from tbe.data.sources.video_lists import VideoLists
from tests.shards import make_shards


@pytest.fixture(scope="module")
def shards(video_folder, tmp_path_factory):
    return make_shards(video_folder, tmp_path_factory.mktemp("shards"))


def source(folder, **settings):
    splits = {"train": "train.txt", "test": "test.txt"}
    return VideoLists("mine", str(folder), splits, 2, **settings)


READERS = {
    "auto": AutoReader,
    "pyav": PyAvReader,
    "decord": lambda: DecordReader("cpu"),
    "torchcodec": TorchCodecReader,
    "memory": lambda: MemoryReader(PyAvReader()),
    "mixed": lambda: MixedReader(PyAvReader(), FrameFolderReader()),
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_gives_the_same_clips_of_shards_as_of_files(name, video_folder, shards):
    try:
        reader = READERS[name]()
    except ValueError as error:  # torchcodec is an extra
        pytest.skip(str(error))
    files, packed = (
        VideoDataset(source(folder).records("train"), reader, UniformClips(4, 2, num_clips=3))
        for folder in (video_folder, shards)
    )
    for index in (0, 5):
        assert torch.equal(files[index]["clips"], packed[index]["clips"])


def test_a_source_of_shards_has_the_splits_and_labels_of_the_files(video_folder, shards):
    for split in ("train", "val", "test"):
        files, packed = (source(folder).records(split) for folder in (video_folder, shards))
        assert packed.paths.tolist() == files.paths.tolist()
        assert packed.labels.tolist() == files.labels.tolist()
        again = pickle.loads(pickle.dumps(packed))
        assert again.to_open(0).content == Path(files.to_open(0)).read_bytes()
    assert str(packed.to_open(0)) == packed.path(0) == f"{shards}/class 0/video 8.mp4"
    assert packed.version(0) != packed.version(1)


def test_shards_that_do_not_have_the_videos_of_the_lists_are_reported_before_a_run(shards, tmp_path):
    (tmp_path / "train.txt").write_text("other/a.mp4 0\nother/b.mp4 1\n")
    (tmp_path / "test.txt").write_text("class 0/video 8.mp4 0\nother/b.mp4 1\n")
    packed = source(shards, lists=str(tmp_path), val_share=0)
    packed.prepare()  # some of test are there
    with pytest.raises(DecodeError, match=r"could not open .*/other/a\.mp4: expected it in one of the shards"):
        packed.records("train").to_open(0)
    (tmp_path / "test.txt").unlink()
    with pytest.raises(FileNotFoundError, match="found none of those looked for: 2 of train"):
        VideoLists("mine", str(shards), {"train": "train.txt"}, 2, str(tmp_path)).prepare()


def test_a_shard_that_is_missing_or_changed_is_an_error_that_names_the_video(video_folder, tmp_path):
    shards = make_shards(video_folder, tmp_path / "shards")
    records = source(shards).records("test")
    where = records.places.piece(0)
    shard = shards / where.file
    content = bytearray(shard.read_bytes())
    content[where.offset + 100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DecodeError, match=rf"could not open .*video 8\.mp4: .* of {where.file}, got other bytes"):
        records.to_open(0)
    shard.write_bytes(content[: where.offset + 10])
    with pytest.raises(DecodeError, match=rf"video 8\.mp4: expected {where.size} bytes at {where.offset} .*, got 10"):
        records.to_open(0)
    shard.unlink()
    with pytest.raises(DecodeError, match=r"video 8\.mp4: .*No such file"):
        records.to_open(0)


@pytest.mark.parametrize("reader", [FrameFolderReader(), FlowFolderReader()])
def test_a_reader_of_folders_refuses_shards_in_one_line(reader, shards):
    with pytest.raises(ValueError, match=r"expected files and folders on disk.* Set reader=auto"):
        reader(source(shards).records("test").to_open(0))
