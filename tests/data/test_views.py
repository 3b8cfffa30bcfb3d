import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tbe.augment import CenterCrop, ClipAugment, UniformCrop
from tbe.data.views import ContrastiveViews, LabeledClips


class Counting(nn.Module):
    """Stands in for an augmentation, and returns the number of the call."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, clips, sizes):
        self.calls += 1
        return clips.transpose(1, 2).float() + 1000 * self.calls


def raw(num_clips):
    clips = (
        torch.arange(2 * num_clips, dtype=torch.uint8).view(2, num_clips, 1, 1, 1, 1).expand(2, num_clips, 4, 3, 8, 8)
    )
    return {"clips": clips, "size": torch.full((2, 2), 8), "label": torch.tensor([1, 0]), "index": torch.tensor([5, 6])}


def test_query_and_key_share_frames_and_the_negative_has_others():
    batch = ContrastiveViews(Counting())(raw(2))
    assert batch["query"].shape == (2, 3, 4, 8, 8)
    assert batch["query"][:, 0, 0, 0, 0].tolist() == [1000, 1002]
    assert batch["key"][:, 0, 0, 0, 0].tolist() == [2000, 2002]
    assert batch["negative"][:, 0, 0, 0, 0].tolist() == [3001, 3003]
    assert batch["index"].tolist() == [5, 6]


def test_unused_views_are_not_made():
    for num_clips in (1, 2):
        batch = ContrastiveViews(Counting(), ("query", "key"))(raw(num_clips))
        assert batch.keys() == {"query", "key", "label", "index"}
        assert batch["key"][:, 0, 0, 0, 0].tolist() == [2000, 2000 + num_clips]
    assert ContrastiveViews(Counting(), ("query",))(raw(1)).keys() == {"query", "label", "index"}


def test_a_negative_without_a_second_clip_is_refused():
    with pytest.raises(
        ValueError, match="train_clips: expected 2 clips of each video, .* got 1. .*AnchorAndNegativeClips"
    ):
        ContrastiveViews(Counting())(raw(1))
    with pytest.raises(ValueError, match="views: expected some of query, key, negative, got positive"):
        ContrastiveViews(Counting(), ("query", "positive"))


def test_all_clips_of_a_video_stay_together():
    batch = LabeledClips(Counting())(raw(3))
    assert batch["clips"].shape == (2, 3, 3, 4, 8, 8)
    assert batch["clips"][:, :, 0, 0, 0, 0].tolist() == [[1000, 1001, 1002], [1003, 1004, 1005]]
    assert batch["label"].tolist() == [1, 0]


def test_all_clips_of_a_video_use_its_size():
    clips = torch.zeros(2, 3, 4, 3, 8, 12, dtype=torch.uint8)
    clips[0, ..., :8] = 200  # the first video is 8 wide, the rest is padding
    clips[1] = 200
    batch = LabeledClips(ClipAugment(8, CenterCrop(1.0), flip=0.0, mean=[0.0] * 3, std=[1.0] * 3))(
        {"clips": clips, "size": torch.tensor([[8, 8], [8, 12]])}
    )
    assert_close(batch["clips"], torch.full((2, 3, 3, 4, 8, 8), 200 / 255))


def test_each_crop_is_applied_to_each_clip():
    pixels = torch.randint(0, 256, (2, 3, 4, 3, 8, 14), dtype=torch.uint8)
    plain = {"flip": 0.0, "mean": [0.0] * 3, "std": [1.0] * 3}
    augment = ClipAugment(8, CenterCrop(1.0), **plain)
    views = LabeledClips(augment, [UniformCrop(position) for position in ("left", "center", "right")])
    order = torch.rand(2, 3, 4).argsort(dim=2)
    batch = views({"clips": pixels, "size": torch.tensor([[8, 14], [8, 14]]), "order": order})
    assert batch["clips"].shape == (2, 9, 3, 4, 8, 8)
    for video in range(2):
        for clip in range(3):
            for number, left in enumerate((0, 3, 6)):
                expected = pixels[video, clip, ..., left : left + 8].transpose(0, 1) / 255
                assert_close(batch["clips"][video, 3 * clip + number], expected)
                assert torch.equal(batch["order"][video, 3 * clip + number], order[video, clip])
    assert isinstance(augment.crop, CenterCrop)  # is left as it was
