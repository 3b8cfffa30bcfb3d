"""The layout of clips: given, recognized, or refused as ambiguous."""

import pytest
import torch
from torch.testing import assert_close
from torchvision.tv_tensors import Video

from tbe import BackgroundErasing
from tbe.augment.layout import find_layout
from tbe.backbones.resnet3d import ResNet3D
from tbe.erasing import BackgroundSwap, ForegroundMerge, InterVideoErasing, NoiseErasing

DISTRACTORS = [BackgroundErasing, InterVideoErasing, NoiseErasing, ForegroundMerge, BackgroundSwap]


def seeded(erase, clips):
    torch.manual_seed(1)
    return erase(clips)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
@pytest.mark.parametrize("distractor", DISTRACTORS)
def test_every_distractor_is_the_same_in_both_layouts_and_for_a_video(distractor, dtype):
    clips = (255 * torch.rand(2, 3, 8, 16, 16)).to(dtype)
    expected = seeded(distractor(), clips)
    assert not torch.equal(expected, clips)
    frames_first = clips.transpose(1, 2).contiguous()
    found = seeded(distractor(layout="BTCHW"), frames_first)
    assert_close(found.transpose(1, 2), expected)
    assert found.is_contiguous()
    assert type(found) is torch.Tensor
    found = seeded(distractor(), Video(frames_first))
    assert type(found) is Video
    assert_close(found.as_subclass(torch.Tensor).transpose(1, 2), expected)


@pytest.mark.parametrize("as_video", [False, True])
def test_frames_first_clips_are_changed_in_place_or_returned_unchanged(as_video):
    clips = torch.rand(2, 8, 3, 5, 5)
    given = Video(clips) if as_video else clips
    expected = seeded(BackgroundErasing(layout="BTCHW"), clips.clone())
    assert BackgroundErasing(ratio=0.0, layout="BTCHW")(given) is given
    assert seeded(BackgroundErasing(layout="BTCHW", inplace=True), given) is given
    assert_close(clips, expected)  # a Video shares the memory of what it was made of


def test_gradients_flow_through_a_video():
    clips = torch.rand(2, 8, 3, 5, 5, requires_grad=True)
    BackgroundErasing()(Video(clips)).as_subclass(torch.Tensor).sum().backward()
    assert_close(clips.grad.sum(), torch.tensor(float(clips.numel())))


@pytest.mark.parametrize("sizes", [(3, 16), (3, 2), (3, 1), (2, 16), (1, 16), (4, 16), (16, 8), (5, 5), (1, 1), (3, 4)])
def test_clips_whose_channels_come_first_need_no_layout(sizes):
    assert find_layout(torch.empty(2, *sizes, 8, 8), None, "x") == "BCTHW"


@pytest.mark.parametrize("sizes", [(16, 2), (16, 1), (16, 4), (3, 3), (2, 2), (2, 3), (1, 3), (1, 2)])
def test_ambiguous_clips_are_refused_with_both_readings(sizes):
    clips = torch.empty(2, *sizes, 8, 8)
    first, second = sizes
    with pytest.raises(ValueError, match=r"^BackgroundErasing: .*Set layout to 'BCTHW' or 'BTCHW'$") as error:
        BackgroundErasing()(clips)
    assert f"{second} frames of {first} channels as (B, C, T, H, W)" in str(error.value)
    assert f"{first} frames of {second} channels as (B, T, C, H, W)" in str(error.value)
    for layout in ("BCTHW", "BTCHW"):
        assert find_layout(clips, layout, "x") == layout


@pytest.mark.parametrize("said", [None, "BCTHW"])
def test_frames_where_channels_should_be_are_refused(said):
    with pytest.raises(ValueError, match=r"expected clips \(B, C, T, H, W\), .*16 frames of 3 .* Set layout='BTCHW'"):
        BackgroundErasing(layout=said)(torch.rand(2, 16, 3, 8, 8))


@pytest.mark.parametrize(
    ("clips", "said", "message"),
    [
        (torch.rand(2, 3, 16, 8, 8), "BTCHW", r"expected clips \(B, T, C, H, W\), .* Set layout='BCTHW'"),
        (Video(torch.rand(2, 3, 16, 8, 8)), None, r"expected clips \(B, T, C, H, W\), .* Set layout='BCTHW'"),
        (Video(torch.rand(2, 16, 3, 8, 8)), "BCTHW", "got a torchvision Video, .* Leave layout out"),
        (Video(torch.rand(16, 3, 8, 8)), None, r"expected clips \(B, T, C, H, W\), got shape \(16, 3, 8, 8\)"),
    ],
)
def test_a_contradiction_of_the_given_layout_is_refused(clips, said, message):
    with pytest.raises(ValueError, match=message):
        NoiseErasing(layout=said)(clips)


@pytest.mark.parametrize("distractor", DISTRACTORS)
def test_an_unknown_layout_is_refused(distractor):
    with pytest.raises(ValueError, match=f"{distractor.__name__}: expected layout .* BCTHW, BTCHW, got 'TCHW'"):
        distractor(layout="TCHW")


def test_a_backbone_recognizes_frames_in_place_of_channels():
    network = ResNet3D("basic", layers=(1, 1, 1, 1), widths=(4, 4, 4, 4))
    with pytest.raises(ValueError, match=r"It looks like \(B, T, C, H, W\): pass clips.transpose\(1, 2\)"):
        network(torch.rand(2, 16, 3, 32, 32))
    assert network(torch.rand(2, 16, 3, 32, 32).transpose(1, 2)).shape == (2, 4)
