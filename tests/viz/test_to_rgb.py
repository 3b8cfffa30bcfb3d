import numpy as np
import torch
from torch.testing import assert_close

from tbe.augment import CenterCrop, ClipAugment
from tbe.viz.to_rgb import overlay, pixels


def test_pixels_invert_the_normalization():
    clips = torch.randint(256, (2, 4, 3, 16, 16), dtype=torch.uint8)
    augment = ClipAugment(size=16, crop=CenterCrop(share=1.0), flip=0.0)
    shown = pixels(augment(clips, torch.tensor([[16, 16]] * 2)), augment.mean, augment.std)
    assert_close(torch.from_numpy(shown), clips.movedim(2, -1), atol=1, rtol=0)


def test_flow_is_shown_as_colors_and_no_motion_as_gray():
    clips = torch.zeros(1, 2, 1, 1, 3)
    clips[0, 0, 0, 0] = torch.tensor([0.0, 2.0, 0.0])
    clips[0, 1, 0, 0] = torch.tensor([0.0, 0.0, 2.0])
    still, right, down = pixels(clips, torch.tensor(0.5), torch.tensor(0.25))[0, 0, 0].tolist()
    assert still == [128, 128, 128]
    assert right == [255, 128, 128]
    assert down == [128, 128, 255]


def test_more_heat_is_lighter_on_any_picture():
    frames = np.full((11, 1, 3), 120, dtype=np.uint8)
    heated = overlay(frames, np.linspace(0, 1, 11)[:, None]).astype(float)
    assert (np.diff((heated @ [0.3, 0.59, 0.11])[:, 0]) > 0).all()
