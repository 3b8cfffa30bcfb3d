import torch
from torch.testing import assert_close
from torch.utils.data import DataLoader

from tbe.augment import ClipAugment, ColorJitter, RandomCrop
from tbe.data.clip_samplers import AnchorAndNegativeClips, UniformClips
from tbe.data.dataset import VideoDataset, collate, shrink
from tbe.data.readers import DecordReader
from tbe.data.sources.records import read_list
from tbe.data.views import ContrastiveViews


def dataset(folder, sampler, **settings):
    return VideoDataset(read_list(folder / "train.txt", folder), DecordReader("cpu"), sampler, **settings)


def test_an_item_holds_the_raw_frames_that_the_sampler_chose(video_folder):
    data = dataset(video_folder, UniformClips(4, 2, num_clips=3))
    item = data[2]
    assert item["clips"].shape == (3, 4, 3, 32, 40)
    assert item["clips"].dtype == torch.uint8
    assert (item["label"], item["index"]) == (0, 2)
    assert item["frames"][0].tolist() == [0, 2, 4, 6]
    video = DecordReader("cpu")(data.records.path(2))
    assert torch.equal(item["clips"][0], video.frames([0, 2, 4, 6]))


def test_the_same_draw_gives_the_same_frames(video_folder):
    data = dataset(video_folder, AnchorAndNegativeClips(4, 1))
    assert torch.equal(data[3, 7]["clips"], data[3, 7]["clips"])
    assert any(not torch.equal(data[3, 7]["clips"], data[3, draw]["clips"]) for draw in range(5))


class Counting:
    """A reader that counts opened videos and requested frames."""

    def __init__(self):
        self.opened, self.decoded = [], []

    def __call__(self, path):
        self.opened.append(path)
        self.video = DecordReader("cpu")(path)
        return self

    def __len__(self):
        return len(self.video)

    def frames(self, indices):
        self.decoded.append(len(indices))
        return self.video.frames(indices)


def test_three_views_need_one_open_video_and_two_decoded_clips(video_folder):
    reader = Counting()
    data = VideoDataset(read_list(video_folder / "train.txt", video_folder), reader, AnchorAndNegativeClips(4, 1))
    views = ContrastiveViews(ClipAugment(16, RandomCrop()))(collate([data[0, 0], data[1, 1]]))
    assert reader.opened == [data.path(0), data.path(1)]
    assert reader.decoded == [2 * 4, 2 * 4]
    assert {name: len(views[name]) for name in ("query", "key", "negative")} == {"query": 2, "key": 2, "negative": 2}


def test_large_frames_are_downscaled_and_small_ones_kept():
    frames = torch.randint(0, 256, (2, 3, 64, 80), dtype=torch.uint8)
    assert shrink(frames, 32).shape == (2, 3, 32, 40)
    assert shrink(frames, 64) is frames
    assert shrink(frames, 100) is frames
    assert shrink(frames, None) is frames


def test_a_batch_is_padded_to_its_largest_picture():
    rest = {"frames": torch.zeros(1, 2, dtype=torch.long)}
    small = {"clips": torch.ones(1, 2, 3, 4, 6, dtype=torch.uint8), "label": 0, "index": 0, **rest}
    wide = {"clips": torch.ones(1, 2, 3, 4, 9, dtype=torch.uint8), "label": 1, "index": 5, **rest}
    batch = collate([small, wide])
    assert batch["clips"].shape == (2, 1, 2, 3, 4, 9)
    assert batch["clips"][0, ..., 6:].sum() == 0
    assert_close(batch["size"], torch.tensor([[4, 6], [4, 9]]))
    assert (batch["label"].tolist(), batch["index"].tolist()) == ([0, 1], [0, 5])


def test_workers_return_the_same_batches_in_the_decoders_memory_layout(video_folder):
    data = dataset(video_folder, UniformClips(4, 1, num_clips=2))
    alone = list(DataLoader(data, batch_size=4, collate_fn=collate))
    worked = list(DataLoader(data, batch_size=4, collate_fn=collate, num_workers=2))
    assert all(torch.equal(a["clips"], b["clips"]) for a, b in zip(alone, worked, strict=True))
    assert all(batch["clips"].movedim(-3, -1).is_contiguous() for batch in alone + worked)


def test_augmentation_is_bitwise_independent_of_the_memory_layout():
    sizes = torch.tensor([[20, 30], [24, 28]])
    augment = ClipAugment(16, RandomCrop(), color=ColorJitter(0.4, 0.4, 0.4, 0.1), gray=0.2, blur=0.5)
    planes = torch.randint(0, 256, (2, 4, 3, 24, 30), dtype=torch.uint8)
    pixels = planes.movedim(2, -1).contiguous().movedim(-1, 2)
    views = []
    for clips in (planes, pixels):
        torch.manual_seed(0)
        views.append(augment(clips, sizes))
    assert torch.equal(*views)
