import pytest
import torch
from torch.testing import assert_close

from tbe.backbones.vit import ViT
from tbe.methods.consistency import Consistency
from tbe.methods.embedding_losses import VICRegLoss
from tbe.methods.encoder import Encoder, Expander
from tbe.methods.joint_embedding import JointEmbedding
from tbe.methods.losses import InfoNCE
from tbe.methods.moco import MoCo
from tbe.training.pretrain_module import PretrainModule
from tests.methods.networks import Mean


def method(**settings):
    return JointEmbedding(Expander(Mean(), dim=5, hidden=6), **settings)


@pytest.mark.parametrize("another_clip", [False, True])
def test_all_views_are_embedded_by_the_same_network(another_clip):
    joint = method(another_clip=another_clip)
    assert joint.views == ("query", "key", "negative")[: 2 + another_clip]
    clips = torch.rand(len(joint.views), 4, 3, 2, 4, 4)
    (found,) = joint(*clips)
    assert found.shape == (len(joint.views), 4, 5)
    assert_close(found, torch.stack([joint.encoder(view) for view in clips]))


def test_a_vit_sees_the_share_of_tokens_that_is_left_others_in_each_view(monkeypatch):
    vit = ViT(width=12, depth=1, heads=2, patch=(2, 8, 8))
    joint = JointEmbedding(Expander(vit, dim=5, hidden=6), token_drop=0.75)
    clips, kept, tokens = torch.rand(2, 3, 3, 4, 32, 32), [], vit.tokens
    monkeypatch.setattr(vit, "tokens", lambda clips, keep: kept.append(keep) or tokens(clips, keep))
    torch.manual_seed(0)
    found = joint(*clips).views
    assert [keep.shape for keep in kept] == [(3, 8)] * 2  # of 2 x 4 x 4
    assert all(len(row.unique()) == 8 for keep in kept for row in keep)
    assert not torch.equal(*kept)
    expected = [joint.encoder.expander(tokens(*pair).mean(dim=1)) for pair in zip(clips, kept, strict=True)]
    assert_close(found, torch.stack(expected))


def test_tokens_are_only_dropped_where_there_are_some():
    with pytest.raises(ValueError, match="token_drop=0.5: expected a backbone of tokens .*, got Mean: choose one"):
        method(token_drop=0.5)
    with pytest.raises(ValueError, match="token_drop: expected a share from 0 to below 1, got 1"):
        method(token_drop=1.0)


def test_embeddings_keep_their_length_and_the_head_is_an_mlp_of_the_given_widths():
    expander = Expander(Mean(), dim=5, hidden=6, num_hidden=3)
    assert [tuple(value.shape) for value in expander.expander.parameters() if value.ndim == 2] == [
        (6, 8),
        (6, 6),
        (6, 6),
        (5, 6),
    ]
    with torch.no_grad():
        expander.expander[-1].weight.mul_(100)
    assert expander(torch.rand(4, 3, 2, 4, 4)).norm(dim=1).min() > 2


@pytest.mark.parametrize(
    ("made", "loss", "expected"),
    [
        (method, InfoNCE, "expected vicreg or lejepa with JointEmbedding, got InfoNCE"),
        (lambda: MoCo(Encoder(Mean(), dim=4), queue_size=4), VICRegLoss, "with MoCo, got VICRegLoss"),
    ],
)
def test_a_loss_of_another_kind_is_refused_in_one_line(made, loss, expected):
    module = PretrainModule(made(), torch.nn.Identity(), loss(), None, None, Consistency(0.0))
    with pytest.raises(ValueError, match=expected):
        module.training_step({name: torch.rand(4, 3, 2, 4, 4) for name in ("query", "key")}, 0)
