import pytest
import torch
from torchvision.transforms import RandomResizedCrop as TorchvisionCrop

from tbe.augment import CenterCrop, RandomCrop, RandomResizedCrop, UniformCrop

SIZES = torch.tensor([[128, 171], [240, 320], [64, 64], [171, 128], [37, 240], [3, 5]])
CROPS = [RandomResizedCrop(), RandomResizedCrop(scale=(0.05, 0.1)), RandomCrop(0.875), RandomCrop(1.0), CenterCrop(0.5)]
CROPS += [UniformCrop(position) for position in ("left", "center", "right")]


def many(height: int, width: int, num_draws: int = 2000) -> torch.Tensor:
    return torch.tensor([[height, width]]).repeat(num_draws, 1)


@pytest.mark.parametrize("crop", CROPS, ids=str)
def test_boxes_are_whole_pixels_inside_their_clip(crop):
    sizes = SIZES.repeat(200, 1)
    boxes = crop(sizes)
    assert boxes.dtype == torch.int64
    assert boxes.shape == (len(sizes), 4)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] > 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= sizes).all()


@pytest.mark.parametrize(
    ("height", "width", "scale", "ratio"),
    [(128, 171, (0.2, 1.0), (3 / 4, 4 / 3)), (90, 300, (0.2, 1.0), (3 / 4, 4 / 3)), (300, 90, (0.3, 1.0), (0.5, 2.0))],
)
def test_random_resized_crop_is_distributed_as_torchvisions(height, width, scale, ratio):
    torch.manual_seed(0)
    frame = torch.empty(3, height, width)
    theirs = torch.tensor([TorchvisionCrop.get_params(frame, list(scale), list(ratio)) for _ in range(2000)]).double()
    ours = RandomResizedCrop(scale, ratio)(many(height, width)).double()
    for measure in (lambda box: box[:, 2] * box[:, 3], lambda box: (box[:, 3] / box[:, 2]).log(), lambda box: box):
        a, b = measure(ours), measure(theirs)
        spread = b.std(dim=0)
        assert ((a.mean(dim=0) - b.mean(dim=0)).abs() <= 0.13 * spread + 1e-9).all()  # 4 standard errors
        assert ((a.std(dim=0) - spread).abs() <= 0.13 * spread + 1e-9).all()


@pytest.mark.parametrize(("height", "width"), [(20, 400), (400, 20)])
def test_a_clip_without_a_fitting_box_gets_torchvisions_fallback(height, width):
    expected = TorchvisionCrop.get_params(torch.empty(3, height, width), [0.9, 1.0], [3 / 4, 4 / 3])
    boxes = RandomResizedCrop(scale=(0.9, 1.0))(many(height, width, 8))
    assert (boxes == torch.tensor(expected)).all()


def test_random_crop_is_a_square_that_reaches_every_position():
    boxes = RandomCrop(0.5)(many(8, 10))
    assert (boxes[:, 2:] == 4).all()
    assert boxes[:, 0].unique().tolist() == list(range(5))
    assert boxes[:, 1].unique().tolist() == list(range(7))
    assert boxes[:, 1].bincount().min() > 2000 / 7 * 0.75


def test_center_crop_is_the_middle():
    assert CenterCrop(0.875)(torch.tensor([[128, 171], [256, 256]])).tolist() == [[8, 29, 112, 112], [16, 16, 224, 224]]


def test_three_uniform_crops_cover_the_long_side():
    sizes = torch.tensor([[10, 25], [25, 10]])
    lefts, centers, rights = (UniformCrop(position)(sizes).tolist() for position in ("left", "center", "right"))
    assert lefts == [[0, 0, 10, 10], [0, 0, 10, 10]]
    assert centers == [[0, 7, 10, 10], [7, 0, 10, 10]]
    assert rights == [[0, 15, 10, 10], [15, 0, 10, 10]]


@pytest.mark.parametrize(
    ("crop", "settings", "match"),
    [
        (RandomResizedCrop, {"scale": (0.0, 1.0)}, "scale"),
        (RandomResizedCrop, {"scale": (0.5, 1.2)}, "scale"),
        (RandomResizedCrop, {"ratio": (2.0, 1.0)}, "ratio"),
        (RandomResizedCrop, {"ratio": (1.0,)}, "ratio"),
        (RandomCrop, {"share": 0.0}, "share"),
        (CenterCrop, {"share": 1.1}, "share"),
        (UniformCrop, {"position": "top"}, "position"),
    ],
)
def test_impossible_crops_are_refused(crop, settings, match):
    with pytest.raises(ValueError, match=match):
        crop(**settings)
