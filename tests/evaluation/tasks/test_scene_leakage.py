import pytest
import torch

from tbe.evaluation.tasks.linear import LinearProbe
from tbe.evaluation.tasks.scene_leakage import Scenes


def videos(count, seed, says):
    """Features that say one of two labels, of which the other is the action: (vectors, actions), and the scenes."""
    generator = torch.Generator().manual_seed(seed)
    actions, scenes = torch.randint(4, (2, count), generator=generator)
    said = {"scene": scenes, "action": actions}[says]
    vectors = 3 * torch.nn.functional.one_hot(said, 8) + 0.1 * torch.randn(count, 8, generator=generator)
    return (vectors, actions), scenes


@pytest.mark.parametrize(("says", "least", "most"), [("scene", 100, 100), ("action", 0, 50)])
def test_features_are_asked_for_the_scene(known, says, least, most):
    (gallery, there), (queries, here) = videos(80, 0, says), videos(40, 1, says)
    evaluation = known(train=gallery, swap=queries, queries=["swap"])
    evaluation.datamodule.source.scenes = {"train": there, "swap": here}.get
    metrics = Scenes(LinearProbe()).run(evaluation)
    assert list(metrics) == ["scenes/scene_linear_top1", "scenes/scene_R@1"]
    assert all(least <= value <= most for value in metrics.values())


def test_a_single_scene_can_not_be_told(known, caplog):
    (gallery, there), (queries, here) = videos(20, 0, "scene"), videos(10, 1, "scene")
    evaluation = known(train=gallery, swap=queries, queries=["swap"])
    evaluation.datamodule.source.scenes = {"train": torch.zeros_like(there), "swap": here}.get
    with caplog.at_level("INFO"):
        assert Scenes(LinearProbe()).run(evaluation) == {}
    assert "skipped swap, because all videos of train have one scene" in caplog.text


def test_data_without_scenes_are_refused(known):
    features, _ = videos(8, 0, "scene")
    with pytest.raises(ValueError, match="expected data with scenes, such as data=biased_scenes, got known"):
        Scenes(LinearProbe()).run(known(train=features, test=features))
