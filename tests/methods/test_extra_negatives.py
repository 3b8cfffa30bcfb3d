"""The extra negatives of contrastive methods, each compared with a loop over its definition."""

import copy

import pytest
import torch
from torch.testing import assert_close

from tbe.methods.base import Comparisons, WeightedComparisons
from tbe.methods.broken_motion import BROKEN, hold_a_frame, play_backwards, shuffle_frames
from tbe.methods.encoder import Encoder
from tbe.methods.extra_negatives import NAMES
from tbe.methods.losses import NCE, InfoNCE
from tbe.methods.moco import MoCo
from tbe.methods.simclr import SimCLR
from tests.methods.networks import Mean

OWNERS = torch.tensor([[1, 2], [2, 0], [0, 1]])


class Last(Mean):
    """Features of the last frame, which the order of frames changes."""

    def forward(self, clips):
        return super().forward(clips[:, :, -1:])


def encoder():
    torch.manual_seed(0)
    return Encoder(Last(), dim=4)


def views():
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(3, 3, 5, 4, 4, generator=generator) for _ in range(3)]


def embedded(name, net, keys, key, negative):
    """The negatives of each video, one row of a list each."""
    if name == "background_owner":
        return [[keys[j] for j in mine] for mine in OWNERS.tolist()]
    clips = {"same_video": negative, "other_video": negative.roll(1, dims=0), "reversed": key.flip(2)}
    if name in clips:
        return [[row] for row in net(clips[name])]
    torch.manual_seed(5)
    return [[row] for row in net(BROKEN[name](key))]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])
def test_a_negative_of_moco_and_simclr_is_what_its_name_says(name):
    query, key, negative = views()
    owners = {"owners": OWNERS} if name == "background_owner" else {}
    torch.manual_seed(0)
    moco = MoCo(encoder(), queue_size=6, negative=name)
    simclr = SimCLR(encoder(), negative=name)
    q, k = moco.encoder(query), moco.key_encoder(key)
    other = embedded(name, moco.encoder, k, key, negative)
    for method, usual, queries in ((moco, 6, q), (simclr, 4, torch.cat([q, k]))):
        assert method.reads_owners == (name == "background_owner")
        seen = (query, key, negative) if "negative" in method.views else (query, key)
        torch.manual_seed(5)
        comparisons = method(*seen, **owners)
        assert isinstance(comparisons, Comparisons)  # of equal weights: two tensors, as without
        assert comparisons.negatives.shape == (len(queries), usual + len(other[0]))
        for i, row in enumerate(queries):
            expected = torch.stack([row @ one for one in other[i % 3]])
            assert_close(comparisons.negatives[i, usual:], expected)


def test_several_negatives_stand_in_their_order_with_their_weights():
    query, key, negative = views()
    weights = {"reversed": 2.0, "background_owner": 0.5, "same_video": 16.0}
    weighted = MoCo(encoder(), queue_size=6, negative=weights)
    equal = MoCo(encoder(), queue_size=6, negative=list(weights), extra_weight=3.0)
    equal.queue.keys.copy_(weighted.queue.keys)
    found, other = (method(query, key, negative, owners=OWNERS) for method in (weighted, equal))
    assert isinstance(found, WeightedComparisons)
    assert found.weights.tolist() == [1.0] * 6 + [2.0, 0.5, 0.5, 16.0]
    assert other.weights.tolist() == [1.0] * 6 + [3.0] * 4
    assert_close(found[:2], other[:2])
    q, k, n = weighted.encoder(query), weighted.key_encoder(key), weighted.encoder(negative)
    backwards = weighted.encoder(key.flip(2))
    for i in range(3):
        expected = [q[i] @ backwards[i], *(q[i] @ k[j] for j in OWNERS[i]), q[i] @ n[i]]
        assert_close(found.negatives[i, 6:], torch.stack(expected))


@pytest.mark.parametrize("loss", [InfoNCE, NCE])
def test_a_weight_counts_as_so_many_equal_negatives(loss):
    positives, negatives = torch.rand(5), torch.rand(5, 4)
    copied = torch.cat([negatives, negatives[:, -1:].expand(-1, 2)], dim=1)
    expected = loss(0.3)(positives, copied)
    assert_close(loss(0.3)(positives, negatives, torch.tensor([1.0, 1.0, 1.0, 3.0])), expected)
    assert_close(loss(0.3)(positives, negatives, torch.ones(4)), loss(0.3)(positives, negatives))


def test_the_loss_of_a_weighted_negative_by_hand():
    """Logits 2 log 2 for the positive and log 2 for both negatives, the second of which counts four times."""
    at = torch.log(torch.tensor(2.0))
    loss = InfoNCE(0.5)(at.view(1), torch.stack([at, at]).view(1, 2) / 2, torch.tensor([1.0, 4.0]))
    assert_close(loss, torch.log(torch.tensor((4 + 2 + 4 * 2) / 4)))


def test_gradient_reaches_clips_with_broken_motion_and_no_key():
    query, key, _ = views()
    method = MoCo(encoder(), queue_size=6, negative=["reversed", "background_owner"])
    reference = copy.deepcopy(method.encoder)
    comparisons = method(query, key, owners=OWNERS)
    gradients = torch.autograd.grad(comparisons.negatives[:, 6].sum(), list(method.encoder.parameters()))
    expected = (reference(query) * reference(key.flip(2))).sum()
    for found, right in zip(gradients, torch.autograd.grad(expected, list(reference.parameters())), strict=True):
        assert_close(found, right)
    assert all(parameter.grad is None for parameter in method.key_encoder.parameters())


def test_broken_motion_leaves_no_trace_in_the_statistics_of_evaluation():
    torch.manual_seed(0)
    net = Encoder(Last(batch_norm=True), dim=4)
    query, key, _ = views()
    of_query = copy.deepcopy(net)
    of_query(query)
    method = MoCo(net, queue_size=6, negative=["static", "shuffled"])
    method(query, key)
    assert_close(method.encoder.state_dict(), of_query.state_dict(), rtol=0, atol=0)


def test_broken_motion_keeps_the_pictures():
    clips = torch.arange(7.0).view(1, 1, 7, 1, 1) + 10 * torch.arange(40.0).view(40, 1, 1, 1, 1)
    orders = [(break_(clips) - clips[:, :, :1])[:, 0, :, 0, 0].long() for break_ in BROKEN.values()]
    backwards, shuffled, static = orders
    assert (backwards == torch.arange(6, -1, -1)).all()
    assert (shuffled.sort(dim=1).values == torch.arange(7)).all()
    assert len(shuffled.unique(dim=0)) > 30
    assert (static == static[:, :1]).all()
    assert len(static[:, 0].unique()) == 7


def test_a_shuffled_clip_is_never_the_clip():
    clips = torch.tensor([1.0, 2.0]).view(1, 1, 2, 1, 1).expand(50, 1, 2, 1, 1)
    assert torch.equal(shuffle_frames(clips), clips.flip(2))


@pytest.mark.parametrize("break_motion", [play_backwards, shuffle_frames, hold_a_frame])
def test_a_clip_of_one_frame_has_no_motion_to_break(break_motion):
    with pytest.raises(ValueError, match=r"at least 2 frames, .* got 1 \(clip.num_frames\)"):
        break_motion(torch.rand(2, 3, 1, 4, 4))


@pytest.mark.parametrize(
    ("negative", "message"),
    [
        (["same_video", "mirrored", "fast"], "expected one of .*, or several, got 'mirrored', 'fast'"),
        (["none", "static"], "expected none alone or other negatives, got 'none', 'static'"),
        ({"same_video": 0, "static": -1}, "expected weights above 0, got same_video: 0, static: -1"),
    ],
)
def test_negatives_that_make_no_sense_are_refused(negative, message):
    with pytest.raises(ValueError, match=f"negative: {message}"):
        MoCo(encoder(), negative=negative)


def test_an_owner_must_be_known():
    query, key, _ = views()
    with pytest.raises(ValueError, match="negative=background_owner: expected the videos whose frames were added"):
        MoCo(encoder(), queue_size=6, negative="background_owner")(query, key)
