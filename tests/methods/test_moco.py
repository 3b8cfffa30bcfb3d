import copy

import pytest
import torch
from torch.testing import assert_close

from tbe.methods.encoder import Encoder
from tbe.methods.moco import MoCo
from tests.methods.networks import Mean


def moco(**settings):
    torch.manual_seed(0)
    return MoCo(Encoder(Mean(batch_norm=True), dim=4), **{"queue_size": 6, "negative": "same_video", **settings})


def views():
    return [torch.rand(3, 3, 2, 4, 4) for _ in range(3)]


def test_comparisons_equal_a_loop_over_positive_queue_and_negative():
    method, (query, key, negative) = moco(), views()
    reference = copy.deepcopy(method)
    queue = method.queue.keys.clone()
    comparisons = method(query, key, negative)
    q, k, n = reference.encoder(query), reference.key_encoder(key), reference.encoder(negative)
    for i in range(3):
        assert_close(comparisons.positives[i], q[i] @ k[i])
        expected = [q[i] @ earlier for earlier in queue] + [q[i] @ n[i]]
        assert_close(comparisons.negatives[i], torch.stack(expected))


def test_the_extra_negative_is_of_the_same_video_of_another_or_none():
    query, key, negative = views()
    queries = moco().encoder(query)
    others = moco().encoder(negative)
    he_et_al = MoCo(Encoder(Mean(), dim=4), queue_size=6)  # has none
    for method in (he_et_al, moco(negative="none")):
        assert method(query, key, negative).negatives.shape == (3, 6)
    for kind, shift in {"same_video": 0, "other_video": 1}.items():
        negatives = moco(negative=kind)(query, key, negative).negatives
        assert negatives.shape == (3, 7)
        for i in range(3):
            assert_close(negatives[i, -1], queries[i] @ others[i - shift])


def test_an_extra_negative_of_another_video_needs_another_video():
    with pytest.raises(ValueError, match="method.negative=other_video: expected a batch of at least 2 videos over all"):
        moco(negative="other_video").eval()(*[view[:1] for view in views()])


@pytest.mark.parametrize(("name", "value"), [("negative", "on"), ("batch_norm", "batch")])
def test_an_unknown_switch_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected one of .*none.*, got '{value}'"):
        moco(**{name: value})


def test_keys_are_queued_after_they_were_compared():
    method, (query, key, negative) = moco(), views()
    keys = copy.deepcopy(method).encode_keys(key)
    method(query, key, negative)
    assert_close(method.queue.keys[:3], keys)


def test_gradient_reaches_the_queries_and_the_negative_but_no_key():
    method, (query, key, negative) = moco(), views()
    for view in (query, key, negative):
        view.requires_grad_()
    comparisons = method(query, key, negative)
    (comparisons.positives.sum() + comparisons.negatives.pow(2).sum()).backward()
    assert query.grad.abs().sum() > 0
    assert negative.grad.abs().sum() > 0
    assert key.grad is None
    assert all(parameter.grad is None for parameter in method.key_encoder.parameters())
    assert all(parameter.grad is not None for parameter in method.encoder.parameters())


def test_the_key_encoder_follows_as_a_moving_average():
    method = moco(momentum=0.9)
    before = copy.deepcopy(method.key_encoder)
    for parameter in method.encoder.parameters():
        parameter.data += 1
    method.after_step()
    for new, old, query in zip(
        method.key_encoder.parameters(), before.parameters(), method.encoder.parameters(), strict=True
    ):
        assert_close(new, 0.9 * old + 0.1 * query)


def test_the_keys_batch_norm_learns_its_own_statistics():
    method, (query, key, negative) = moco().train(), views()
    method(query, key + 5, negative)
    ours, theirs = method.encoder.backbone.norm, method.key_encoder.backbone.norm
    assert not torch.equal(ours.running_mean, theirs.running_mean)
    assert theirs.num_batches_tracked == 1


def test_everything_a_checkpoint_needs_is_in_the_state_dict():
    names = set(moco().state_dict())
    assert {"queue.keys", "queue.position", "key_encoder.projector.layers.0.weight"} <= names


def test_an_impossible_momentum_is_refused():
    with pytest.raises(ValueError, match="momentum from 0 to 1, got 1.5"):
        moco(momentum=1.5)


def test_a_queue_that_holds_videos_twice_is_warned_of(caplog):
    moco().check_num_videos(num_videos=6)
    assert not caplog.records
    moco().check_num_videos(num_videos=5)
    assert "queue of 6 keys holds each of the 5 training videos more than once" in caplog.text


def test_similarities_are_exact_under_autocast():
    method, (query, key, negative) = moco(), views()
    reference = copy.deepcopy(method)
    with torch.autocast("cpu", torch.bfloat16):
        comparisons = method(query, key, negative)
        queries = reference.encoder(query)
    assert comparisons.positives.dtype == comparisons.negatives.dtype == torch.float32
    assert_close(comparisons.negatives[:, :6], queries @ reference.queue.keys.T, atol=1e-6, rtol=0)
