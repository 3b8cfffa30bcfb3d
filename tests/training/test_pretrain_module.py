import pytest
import torch

from tbe import BackgroundErasing, InterVideoErasing
from tbe.erasing import BackgroundSwap, ForegroundMerge
from tbe.methods.consistency import Consistency
from tbe.methods.encoder import Encoder
from tbe.methods.losses import CosineRegression, InfoNCE
from tbe.methods.moco import MoCo
from tbe.methods.pretext import Flip, PretextMethod
from tbe.training.pretrain_module import PretrainModule
from tests.methods.networks import Mean


class Marked(torch.nn.Module):
    """Stands in for an erasing: marks what it saw."""

    def forward(self, clips):
        return clips + 100


class Seeing(MoCo):
    """A method that remembers its views."""

    def forward(self, query, key, negative):
        self.seen = [bool(view.min() > 50) for view in (query, key, negative)]
        return super().forward(query, key, negative)


def module(distracted):
    method = Seeing(Encoder(Mean(), dim=4), queue_size=4, negative="same_video")
    built = PretrainModule(method, Marked(), InfoNCE(), None, None, Consistency(0.0), distracted)
    built.log = lambda *args, **kwargs: None  # nothing is logged without a trainer
    return built


@pytest.mark.parametrize(
    ("distracted", "expected"),
    [("query", [True, False, False]), ("key", [False, True, False]), ("both", [True, True, False])],
)
def test_the_chosen_view_is_distracted(distracted, expected):
    built = module(distracted)
    loss = built.training_step({name: torch.rand(2, 3, 2, 4, 4) for name in ("query", "key", "negative")}, 0)
    assert built.method.seen == expected
    assert loss.isfinite()


def test_losses_of_other_methods_and_consistencies_of_nothing_are_refused():
    built = module("query")
    batch = {name: torch.rand(2, 3, 2, 4, 4) for name in ("query", "key", "negative")}
    for loss in (CosineRegression(), torch.nn.CrossEntropyLoss()):
        built.loss = loss
        with pytest.raises(ValueError, match=f"loss: expected .* Seeing, got {type(loss).__name__}"):
            built.training_step(batch, 0)
    pretext = PretextMethod(Mean(), Flip())
    told = PretrainModule(pretext, Marked(), CosineRegression(), None, None, Consistency(0.0))
    with pytest.raises(ValueError, match="loss: expected cross_entropy with PretextMethod, got CosineRegression"):
        told.training_step(batch, 0)
    with pytest.raises(ValueError, match="consistency: expected distractor_views=query or both, .* got key"):
        PretrainModule(built.method, Marked(), InfoNCE(), None, None, Consistency(1.0), "key")


def test_an_unknown_view_is_refused():
    with pytest.raises(ValueError, match="expected one of query, key, both, got 'negative'"):
        module("negative")


@pytest.mark.parametrize("distracted", ["key", "both"])
def test_a_view_that_the_method_does_not_read_is_not_distracted(distracted):
    method = PretextMethod(Mean(), Flip())
    with pytest.raises(ValueError, match=f"expected a view that PretextMethod reads, query, got '{distracted}'"):
        PretrainModule(method, Marked(), InfoNCE(), None, None, Consistency(0.0), distracted)


def test_a_consistency_needs_the_clean_query_to_be_kept():
    method = MoCo(Encoder(Mean(), dim=4), queue_size=4)
    with pytest.raises(ValueError, match="be.inplace: expected false .* got true and a weight of 0.5"):
        PretrainModule(method, BackgroundErasing(inplace=True), InfoNCE(), None, None, Consistency(0.5))


def owned(distractor, views="query"):
    method = MoCo(Encoder(Mean(), dim=4), queue_size=4, negative={"background_owner": 2.0})
    built = PretrainModule(method, distractor, InfoNCE(), None, None, Consistency(0.0), views)
    built.log = lambda *args, **kwargs: None
    return built


@pytest.mark.parametrize("views", ["query", "both"])
@pytest.mark.parametrize("distractor", [lambda: InterVideoErasing(num_videos=2), ForegroundMerge, BackgroundSwap])
def test_the_owners_of_the_added_backgrounds_become_negatives(distractor, views, monkeypatch):
    built = owned(distractor(), views)
    told, forward = [], MoCo.forward
    monkeypatch.setattr(MoCo, "forward", lambda *views, owners: told.append(owners) or forward(*views, owners=owners))
    seen, change = [], built.distractor.forward
    monkeypatch.setattr(
        built.distractor, "forward", lambda clips: (change(clips), seen.append(built.distractor.owners))[0]
    )
    batch = {name: torch.rand(4, 3, 2, 4, 4) for name in ("query", "key")}
    assert built.training_step(batch, 0).isfinite()
    assert torch.equal(told[0], seen[0])  # those of the query, not of the key
    assert (told[0] != torch.arange(4).unsqueeze(1)).all()


@pytest.mark.parametrize(
    ("distractor", "views"), [(BackgroundErasing, "query"), (Marked, "query"), (InterVideoErasing, "key")]
)
def test_backgrounds_without_an_owner_are_refused(distractor, views):
    with pytest.raises(
        ValueError, match="background_owner: expected queries with frames of other videos .* on " + views
    ):
        owned(distractor(), views)
