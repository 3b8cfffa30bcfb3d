"""What masked modelling sees, and what it is asked for."""

import copy

import pytest
import torch
from torch.testing import assert_close

from tbe.backbones.activation_checkpointing import recompute_activations
from tbe.backbones.resnet3d import ResNet3D
from tbe.backbones.vit import ViT
from tbe.config import plain
from tbe.errors import UserError
from tbe.methods.masked.encoding import pixels
from tbe.methods.masked.masks import random_blocks
from tbe.methods.masked.videomae import VideoMAE
from tbe.methods.masked.vjepa import VJEPA
from tbe.train import build_module
from tests.conftest import composed

PATCH = (2, 4, 4)


def vit():
    return ViT(width=24, depth=2, heads=2, patch=PATCH, grid=(2, 4, 4))


def convolutions():
    return ResNet3D("basic", [1, 1, 1, 1], widths=[4, 4, 8, 8])


def made(method, backbone=vit, **settings):
    torch.manual_seed(0)
    return method(backbone(), patch=PATCH, **settings).eval()


def clips(seed=1):
    return torch.randn(2, 3, 4, 16, 16, generator=torch.Generator().manual_seed(seed))


def run(method, *views):
    torch.manual_seed(3)  # for the same masks
    return method(*views)


def test_pixels_are_those_of_each_tubelet_normalized_in_each_channel():
    given = clips()
    found = pixels(given, PATCH, is_normalized=True)
    assert found.shape == (2, 32, 3 * 32)
    for token, (t, h, w) in enumerate((t, h, w) for t in range(2) for h in range(4) for w in range(4)):
        box = given[1, :, 2 * t : 2 * t + 2, 4 * h : 4 * h + 4, 4 * w : 4 * w + 4]
        expected = torch.stack([(channel - channel.mean()) / channel.std() for channel in box])
        assert_close(found[1, token], expected.flatten(), atol=1e-4, rtol=1e-4)
    brighter = 3 * given + torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)  # another normalization of the clips
    assert_close(pixels(brighter, PATCH, is_normalized=True), found, atol=1e-4, rtol=1e-4)
    assert pixels(torch.ones(1, 3, 5, 18, 17), PATCH, is_normalized=False).shape == (1, 32, 96)


@pytest.mark.parametrize("normalized", [True, False])
@torch.no_grad()
def test_the_pixels_that_are_asked_for_are_raw_unless_they_are_to_be_normalized(normalized):
    _, targets = run(made(VideoMAE, normalized=normalized), clips(2), clips())
    for clip, wanted in zip(clips(), targets, strict=True):
        of_clip = {kind: pixels(clip.unsqueeze(0), PATCH, is_normalized=kind)[0] for kind in (True, False)}
        found = {kind: (wanted.unsqueeze(1) - of_clip[kind]).abs().amax(dim=2).amin(dim=1) for kind in of_clip}
        assert found[normalized].max() == 0
        assert found[not normalized].min() > 0.01


def sizes_of(decoder):
    """Depth, width and heads."""
    (heads,) = {block.attention.heads for block in decoder.blocks}
    return len(decoder.blocks), decoder.narrow.out_features, heads


@pytest.mark.parametrize(("method", "part"), [("videomae", "decoder"), ("vjepa", "predictor")])
def test_what_predicts_is_as_large_as_asked_for_and_else_half_as_wide_with_a_head_for_each_64_channels(
    method, part, tmp_path
):
    def sizes(*overrides):
        named = [f"method={method}", "backbone=vit_micro", *overrides]
        module = build_module(plain(composed("train", *named, run_dir=tmp_path)), num_classes=3)
        return sizes_of(getattr(module.method, part))

    assert sizes(f"method.{part}_depth=2", f"method.{part}_width=48", f"method.{part}_heads=3") == (2, 48, 3)
    assert sizes(f"method.{part}_width=192") == (4, 192, 3)
    assert sizes("backbone.width=256", "backbone.depth=1") == (4, 128, 2)
    assert sizes("backbone.width=64", "backbone.depth=1") == (4, 32, 1)


@pytest.mark.parametrize("backbone", [vit, convolutions])
@pytest.mark.parametrize("method", [VideoMAE, VJEPA])
@torch.no_grad()
def test_what_is_hidden_is_not_seen_but_asked_for(method, backbone):
    network = made(method, backbone, target="seen", ratio=0.5)
    predictions, targets = run(network, clips())
    assert predictions.shape == targets.shape
    grid, hidden = network.encoder.grid_of(clips()), torch.ones(2, 1, 2, 4, 4)
    if method is VideoMAE:
        torch.manual_seed(3)
        places = torch.rand(2, 16).argsort(dim=1)[:, :8].view(2, 1, 8) + torch.arange(2).view(1, 2, 1) * 16
        hidden = hidden.flatten(1).scatter(1, places.flatten(1), 0.0).view(2, 1, *grid)
        changed = clips() + hidden.repeat_interleave(2, 2).repeat_interleave(4, 3).repeat_interleave(4, 4) * clips(2)
        others, asked = run(network, changed)
        assert_close(others, predictions)
        assert not torch.allclose(asked, targets)
    seen = run(network, clips() + clips(2))[0]
    assert not torch.allclose(seen, predictions)


@pytest.mark.parametrize("method", [VideoMAE, VJEPA])
@torch.no_grad()
def test_a_distracted_clip_is_denoised_unless_the_target_is_what_is_seen(method):
    clean, distracted = clips(), clips(2)
    predictions, targets = run(made(method), distracted, clean)
    seen = made(method, target="seen")
    assert_close(run(seen, distracted), (predictions, run(made(method), distracted, distracted)[1]))
    assert_close(targets, run(seen, clean)[1])
    assert (made(method).reads_clean, seen.reads_clean) == (True, False)
    with pytest.raises(UserError, match="method.target=clean: expected the clips without the distractor, got none"):
        run(made(method), distracted)


@pytest.mark.parametrize(
    ("ratio", "predicted", "places"), [(0.75, None, 12), (0.75, 0.5, 8), (0.5, 0.25, 4), (0.5, 0.9, 8)]
)
@torch.no_grad()
def test_vjepa_predicts_as_many_places_for_each_mask_as_asked_for(ratio, predicted, places, monkeypatch):
    asked = []

    def noted(batch, grid, ratio, blocks, scale, device, predicted):
        asked.append((ratio, blocks, scale, predicted))
        return random_blocks(batch, grid, ratio, blocks, scale, device, predicted)

    monkeypatch.setattr("tbe.methods.masked.vjepa.random_blocks", noted)
    masks = [{"blocks": 3, "scale": 0.1}, {"blocks": 1, "scale": 0.5}, {"blocks": 2, "scale": 0.2}]
    method = made(VJEPA, ratio=ratio, predicted=predicted, masks=masks)
    predictions, targets = run(method, clips(), clips())
    assert asked == [(ratio, 3, 0.1, predicted), (ratio, 1, 0.5, predicted), (ratio, 2, 0.2, predicted)]
    assert predictions.shape == targets.shape == (3 * 2, 2 * places, 24)  # masks of clips, of 16 places in 2 frames


def test_vjepa_predicts_the_features_of_a_moving_average_without_gradient_to_it():
    method = made(VJEPA, momentum=0.9, masks=[{"blocks": 2, "scale": 0.3}])
    predictions, targets = run(method, clips(), clips())
    assert not targets.requires_grad
    features = method.target_encoder.backbone.tokens(clips())
    features = torch.nn.functional.layer_norm(features, (24,))
    assert (torch.cdist(targets, features).min(dim=2).values < 1e-2).all()  # each is one of them
    method.encoder.backbone.load_state_dict({name: 2 * value for name, value in method.backbone.state_dict().items()})
    method.after_loading()
    assert_close(method.target_encoder.state_dict(), method.encoder.state_dict())
    method = made(VJEPA, momentum=0.9, masks=[{"blocks": 2, "scale": 0.3}])
    predictions, targets = run(method, clips(), clips())
    before = copy.deepcopy(method.target_encoder)
    torch.nn.functional.l1_loss(predictions, targets).backward()
    for parameter in method.encoder.parameters():
        parameter.data += 1
    method.after_step()
    for new, old in zip(method.target_encoder.parameters(), before.parameters(), strict=True):
        assert new.grad is None
        assert_close(new, old + 0.1)


@pytest.mark.parametrize("method", [VideoMAE, VJEPA])
def test_batch_norms_keep_the_statistics_of_whole_clips_as_in_evaluation(method):
    network = made(method, convolutions).train()
    other = copy.deepcopy(network.backbone)
    for seed in (1, 2):
        run(network, clips(seed), clips(3))
        other.forward_features(clips(seed))
    assert_close(dict(network.backbone.named_buffers()), dict(other.named_buffers()))


@pytest.mark.parametrize("method", [VideoMAE, VJEPA])
def test_activations_that_are_computed_again_are_the_same_with_kept_statistics(method):
    networks = [made(method, convolutions).train() for _ in range(2)]
    recompute_activations(networks[1].backbone)
    for network in networks:
        torch.nn.functional.l1_loss(*run(network, clips(1), clips(3))).backward()
    expected, found = ({name: one.grad for name, one in network.backbone.named_parameters()} for network in networks)
    assert_close(found, expected)
    assert_close(*(dict(network.backbone.named_buffers()) for network in networks))


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (VideoMAE, {"ratio": 1.0}, "a ratio of hidden places between 0 and 1, got 1.0"),
        (VideoMAE, {"target": "both"}, "method.target: expected one of clean, seen, got 'both'"),
        (VideoMAE, {"decoder_depth": 0}, "depth and heads of at least 1, .*width=12, depth=0, heads=1"),
        (VJEPA, {"predictor_heads": 5}, "heads that divide the width, got width=12, depth=4, heads=5"),
        (VJEPA, {"masks": [{"blocks": 0, "scale": 0.5}]}, "masks, each with blocks, at least 1, and scale"),
        (VJEPA, {"momentum": 2}, "a momentum from 0 to 1, got 2"),
        (VJEPA, {"predicted": 0}, r"a share of predicted places in \(0, 1\], or null, got 0"),
        (VJEPA, {"masks": [{"blocks": 2, "scale": 7}]}, r"scale, a share in \(0, 1\], got \[\{'blocks': 2, 'scale': 7"),
    ],
)
def test_settings_that_make_no_task_are_refused(method, settings, message):
    with pytest.raises(UserError, match=message):
        made(method, **settings)


def test_a_tubelet_of_one_pixel_has_no_deviation():
    with pytest.raises(UserError, match="method.normalized=false for tubelets of a single pixel"):
        VideoMAE(convolutions(), patch=(1, 1, 1))
    VideoMAE(convolutions(), patch=(1, 1, 1), normalized=False)


def test_clips_below_a_tubelet_are_refused():
    network = made(VideoMAE, convolutions, target="seen")
    with pytest.raises(UserError, match=r"clips of at least \(2, 4, 4\) frames, rows and columns, a tubelet, got"):
        network(torch.zeros(1, 3, 4, 3, 16))
