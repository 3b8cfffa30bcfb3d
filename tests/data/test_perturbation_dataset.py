import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tbe.augment import CenterCrop, ClipAugment, UniformCrop
from tbe.data.clip_samplers import UniformClips
from tbe.data.dataset import VideoDataset
from tbe.data.perturbation_dataset import PerturbationDataset, other_videos
from tbe.data.readers import DecordReader
from tbe.data.sources.records import read_list
from tbe.data.views import LabeledClips
from tbe.evaluation.features import foreground, surroundings
from tbe.evaluation.perturbations import moving_foreground


def surrounded(folder, seed=0, foreground=None):
    videos = VideoDataset(read_list(folder / "train.txt", folder), DecordReader("cpu"), UniformClips(4, 2, num_clips=2))
    return PerturbationDataset(videos, seed, foreground)


def test_the_backdrop_is_the_median_of_another_video(video_folder):
    data = surrounded(video_folder)
    item = data[3]
    for partners, backdrop in zip(data.partners, item["backdrops"], strict=True):
        frames, _ = data.videos.clips(int(partners[3]), UniformClips(1, num_clips=9))
        assert torch.equal(backdrop[0], frames[:, 0].median(dim=0).values)
        assert partners[3] != 3
    labels = data.videos.records.labels
    assert labels[data.partners[1][3]] != labels[3]


def test_items_depend_only_on_the_seed_and_the_video(video_folder):
    one, again, other = surrounded(video_folder)[2], surrounded(video_folder)[2], surrounded(video_folder, seed=1)[2]
    assert torch.equal(one["order"], again["order"])
    assert not torch.equal(one["order"], other["order"])
    assert torch.equal(one["order"].sort(dim=1).values, torch.arange(4).expand(2, 4))


def test_a_batch_is_cropped_like_its_clips(video_folder):
    def left_half(index, frames):
        mask = np.zeros((len(frames), 64, 80), dtype=bool)  # of a larger picture than was decoded
        mask[:, :, :40] = True
        return mask

    data = surrounded(video_folder, foreground=left_half)
    batch = next(iter(DataLoader(data, batch_size=3, collate_fn=data.collate)))
    assert batch["backdrops"].shape == (3, 2, 1, 3, 32, 40)
    views = LabeledClips(ClipAugment(16, CenterCrop(1.0), flip=0.0))(batch)
    assert views["clips"].shape == (3, 2, 3, 4, 16, 16)
    assert views["backdrops"].shape == (3, 1, 2, 3, 1, 16, 16)
    assert views["foreground"].shape == (3, 2, 1, 4, 16, 16)
    assert views["foreground"][..., :8].all()
    assert not views["foreground"][..., 8:].any()


def test_each_of_several_crops_has_its_own_part_of_a_background():
    picture = torch.randint(0, 256, (1, 1, 1, 3, 16, 32), dtype=torch.uint8)
    size = torch.tensor([[16, 32]])
    batch = {"clips": picture.expand(1, 2, 4, -1, -1, -1), "size": size, "order": torch.arange(4).repeat(1, 2, 1)}
    batch |= {"backdrops": picture.expand(1, 2, 1, -1, -1, -1), "backdrop_size": size.expand(1, 2, 2)}
    crops = [UniformCrop(position) for position in ("left", "center", "right")]
    views = LabeledClips(ClipAugment(16, CenterCrop(1.0), flip=0.0), crops)(batch)
    context = surroundings(views)
    assert views["clips"].shape[:2] == (1, 2 * 3)
    assert torch.equal(context.backdrop.expand(-1, -1, 4, -1, -1), views["clips"].flatten(0, 1))
    assert not torch.equal(context.backdrop[0], context.backdrop[2])


def test_without_a_mask_the_moving_pixels_are_the_foreground(video_folder):
    def everywhere_in_the_second(index, frames):
        return np.ones((len(frames), 32, 40), dtype=bool) if index == 1 else None

    def foreground_of(batch_size):
        data = surrounded(video_folder, foreground=everywhere_in_the_second)
        views = LabeledClips(ClipAugment(16, CenterCrop(1.0), flip=0.0))
        batches = map(views, DataLoader(data, batch_size=batch_size, collate_fn=data.collate))
        pairs = [(foreground(batch), batch["clips"]) for batch in batches]
        return (torch.cat(column) for column in zip(*pairs, strict=True))

    found, clips = foreground_of(3)
    moving = moving_foreground(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
    assert found[1].all()
    assert torch.equal(found[[0, *range(2, 8)]], moving[[0, *range(2, 8)]])
    assert not moving.flatten(1).all(dim=1).any()
    assert torch.equal(next(foreground_of(8)), found)
    assert torch.equal(next(foreground_of(1)), found)


@pytest.mark.parametrize("another_class", [False, True])
def test_partners_differ_from_the_video_and_can_be_any_other(another_class):
    labels = np.repeat([0, 1, 2], [90, 5, 5])
    chosen = other_videos(labels, 0, another_class)
    assert (chosen != np.arange(100)).all()
    if another_class:
        assert (labels[chosen] != labels).all()
    assert len(np.unique(chosen)) > (9 if another_class else 50)


def test_a_video_listed_twice_is_not_its_own_partner():
    ids = np.repeat([0, 1, 2], [95, 4, 1])  # hardly any draw finds another
    chosen = other_videos(np.zeros(100, int), 0, another_class=False, ids=ids)
    assert (ids[chosen] != ids).all()
    with pytest.raises(ValueError, match="at least two videos.*, got 1"):
        other_videos(np.zeros(3, int), 0, another_class=False, ids=np.array([7, 7, 7]))


def test_with_one_class_any_other_video_is_drawn():
    assert (other_videos(np.zeros(4, int), 0, another_class=True) != np.arange(4)).all()


def test_a_single_video_is_refused():
    with pytest.raises(ValueError, match="at least two videos, to borrow another one's background, got 1"):
        other_videos(np.zeros(1, int), 0, another_class=False)
