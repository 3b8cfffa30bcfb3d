"""Methods beside MoCo, each against its definition written as a loop."""

import copy

import pytest
import torch
from torch.testing import assert_close

from tbe.backbones.vit import ViT
from tbe.methods.byol import BYOL
from tbe.methods.encoder import Encoder
from tbe.methods.losses import CosineRegression, InfoNCE, TripletMargin
from tbe.methods.masked.vjepa import VJEPA
from tbe.methods.moco import MoCo
from tbe.methods.simclr import SimCLR
from tbe.methods.triplet import Triplet
from tests.methods.networks import Mean


def encoder():
    torch.manual_seed(0)
    return Encoder(Mean(), dim=4)


def views(batch=3):
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(batch, 3, 2, 4, 4, generator=generator) for _ in range(3)]


def test_triplets_are_of_the_same_video_and_of_another():
    query, key, negative = views()
    net = encoder()
    q, k, n = net(query), net(key), net(negative)
    positives, negatives = Triplet(net)(query, key, negative)
    for i in range(3):
        assert_close(positives[i], q[i] @ k[i])
        assert_close(negatives[i], torch.stack([q[i] @ n[i], q[i] @ n[i - 1]]))


def test_the_triplet_loss_equals_torchs_on_unit_vectors():
    query, key, negative = views()
    net = encoder()
    q, k, n = net(query), net(key), net(negative)
    torchs = torch.nn.TripletMarginLoss(margin=0.5, p=2, eps=0)
    expected = 2 * torchs(q, k, n) + 3 * torchs(q, k, n.roll(1, dims=0))
    ours = TripletMargin(0.5, (2, 3))(*Triplet(net)(query, key, negative))
    assert_close(ours, expected, rtol=1e-3, atol=1e-4)


def test_equal_embeddings_still_have_a_finite_gradient():
    positives, negatives = torch.ones(2, requires_grad=True), torch.ones(2, 2, requires_grad=True)
    TripletMargin()(positives, negatives).backward()
    assert positives.grad.isfinite().all()
    assert negatives.grad.isfinite().all()


def test_simclr_compares_each_view_with_all_views_of_other_videos():
    query, key, negative = views()
    net = encoder()
    q, k, n = net(query), net(key), net(negative)
    positives, negatives = SimCLR(net, negative="same_video")(query, key, negative)
    assert negatives.shape == (6, 5)
    for row, (view, other) in enumerate([(q, k), (k, q)]):
        for i in range(3):
            assert_close(positives[3 * row + i], view[i] @ other[i])
            others = [view[i] @ z[j] for j in range(3) if j != i for z in (q, k)]
            assert_close(negatives[3 * row + i].sort().values, torch.stack([*others, view[i] @ n[i]]).sort().values)


def test_simclrs_extra_negative_can_be_another_videos_or_none():
    query, key, negative = views()
    net = encoder()
    q, k, n = net(query), net(key), net(negative)
    assert SimCLR(net)(query, key, negative).negatives.shape == (6, 4)
    negatives = SimCLR(net, negative="other_video")(query, key, negative).negatives
    for i in range(3):
        assert_close(negatives[i, -1], q[i] @ n[i - 1])
        assert_close(negatives[3 + i, -1], k[i] @ n[i - 1])


def test_byol_predicts_the_target_of_the_other_view():
    query, key, _ = views()
    method = BYOL(encoder(), hidden=8).eval()
    positives, negatives = method(query, key)
    assert negatives.shape == (6, 0)
    predictions = method.predictor(method.encoder(query))
    expected = torch.nn.functional.cosine_similarity(predictions, method.target(key), dim=1)
    assert_close(positives[:3], expected)
    assert_close(CosineRegression()(positives, negatives), (2 - 2 * positives).mean())


def test_byols_target_follows_without_gradient():
    method = BYOL(encoder(), hidden=8, momentum=0.9)
    before = copy.deepcopy(method.target)
    for parameter in method.encoder.parameters():
        parameter.data += 1
    CosineRegression()(*method(*views()[:2])).backward()
    assert all(parameter.grad is None for parameter in method.target.parameters())
    assert all(parameter.grad is not None for parameter in method.encoder.parameters())
    method.after_step()
    for new, old in zip(method.target.parameters(), before.parameters(), strict=True):
        assert_close(new, old + 0.1)


@pytest.mark.parametrize("method", [MoCo, BYOL])
def test_moving_averages_begin_as_copies_of_loaded_weights(method):
    built = method(encoder())
    with torch.no_grad():
        for parameter in built.backbone.parameters():
            parameter += 1
    built.after_loading()
    average = getattr(built, "target", None) or built.key_encoder
    assert_close(average.state_dict(), built.encoder.state_dict())
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_the_hidden_layer_of_byols_projector_has_batch_norm():
    net = Encoder(Mean(), dim=4, mlp=True, batch_norm=True)
    kinds = [type(layer) for layer in net.projector.layers]
    assert kinds == [torch.nn.Linear, torch.nn.BatchNorm1d, torch.nn.ReLU, torch.nn.Linear]
    with pytest.raises(ValueError, match="expected mlp=true"):
        Encoder(Mean(), dim=4, batch_norm=True)


def test_a_method_reads_a_negative_only_where_it_has_one():
    for method in (MoCo, SimCLR):
        for negative in ("same_video", "other_video"):
            assert method(encoder(), negative=negative).views == ("query", "key", "negative")
            with pytest.raises(ValueError, match=f"method.negative={negative}: expected another clip of each video"):
                method(encoder(), negative=negative)(*views()[:2])
        assert method(encoder()).views == ("query", "key")
        assert method(encoder())(*views()[:2]).positives.isfinite().all()


@pytest.mark.parametrize("negative", ["none", "other_video"])
def test_the_triplet_losses_have_a_negative_of_the_same_video(negative):
    assert Triplet(encoder()).views == ("query", "key", "negative")
    with pytest.raises(ValueError, match=f"negative: expected same_video with the triplet losses, .* got '{negative}'"):
        Triplet(encoder(), negative=negative)


def test_a_batch_of_one_has_no_other_video():
    for method in (Triplet(encoder()), SimCLR(encoder())):
        with pytest.raises(ValueError, match="at least 2 videos"):
            method(*views(1))


def test_losses_that_do_not_fit_the_method_are_refused():
    with pytest.raises(ValueError, match="InfoNCE: expected negatives, got none"):
        InfoNCE()(torch.ones(2), torch.ones(2, 0))
    with pytest.raises(ValueError, match="TripletMargin: expected 2 negatives a query, got 7"):
        TripletMargin()(torch.ones(2), torch.ones(2, 7))


@pytest.mark.parametrize("make", [MoCo, BYOL, VJEPA])
def test_a_moving_average_sees_all_blocks_whatever_the_trained_network_skips(make):
    network = ViT(width=24, depth=3, heads=2, patch=(2, 4, 4), grid=(2, 4, 4), drop_path=0.5)
    extra = {"queue_size": 8} if make is MoCo else {}
    method = make(network if make is VJEPA else Encoder(network, dim=4), **extra).train()
    averages = {MoCo: "key_encoder", BYOL: "target", VJEPA: "target_encoder"}
    average, clips = getattr(method, averages[make]).backbone, torch.randn(8, 3, 4, 16, 16)
    assert torch.equal(average(clips), average(clips))
    assert not torch.equal(network(clips), network(clips))
