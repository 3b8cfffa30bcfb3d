import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.testing import assert_close

from tbe.backbones.classifier import Classifier
from tbe.config import build, plain
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.cam import Cam
from tbe.evaluation.tasks.cam.alignment import align_to_clips, measured_shift
from tbe.evaluation.tasks.cam.dataset import middle_clips
from tbe.evaluation.tasks.cam.drawing import load
from tbe.evaluation.tasks.cam.maps import class_activation, energy, foreground_share, predicted_classes, similarity
from tbe.evaluation.tasks.cam.task import spread
from tests.conftest import SMALL, composed


class Cells(nn.Module):
    """Features that are the mean colors of cells, and their opposites."""

    num_features = 6

    def __init__(self, size=4):
        super().__init__()
        self.size = size

    def forward_features(self, clips):
        cells = F.avg_pool3d(clips, self.size)
        return torch.cat([cells, -cells], dim=1)

    def forward(self, clips):
        return self.forward_features(clips).mean(dim=(2, 3, 4))


def convolutions(*strides, kernel=3):
    """Random convolutions as feature maps, padded on both sides where they overlap."""
    torch.manual_seed(0)
    sizes = [3] + len(strides) * [32]
    network = nn.Sequential(
        *(nn.Conv3d(*sizes[place : place + 2], kernel, stride, kernel // 3) for place, stride in enumerate(strides))
    )
    network.forward_features = network.forward
    return network


def evaluation_of(backbone, folder, classifier=None, query="test"):
    """An evaluation of any network on the small embedded data set."""
    small = [*SMALL[:7], "datamodule.num_workers=0", "trainer=cpu", "clips=2", "backbone=tiny", f"query={query}"]
    named = ["checkpoint=random", "data=biased_scenes", "clip=8x2_32", "reader=decord", *small]
    config = plain(composed("eval", *named, run_dir=folder))
    trainer = build(config["trainer"])(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    data = build(config["datamodule"])
    data.prepare_data()
    return Evaluation("net", backbone, classifier, data, trainer, "train", [query], folder)


def test_a_class_activation_map_is_what_one_computes_by_hand():
    head = nn.Linear(2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [2.0, -3.0]]))
        head.bias.copy_(torch.tensor([5.0, 7.0]))
    features = torch.zeros(1, 2, 1, 2, 2)
    features[0, 0, 0] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    features[0, 1, 0] = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    first = class_activation(features, head, torch.tensor([0]))
    second = class_activation(features, head, torch.tensor([1]))
    assert first.squeeze().tolist() == [[1, 2], [3, 4]]
    assert second.squeeze().tolist() == [[2, 1], [3, 8]]
    # Pooled features are 2.5 and 0.5: logits 7.5 and 10.5.
    assert predicted_classes(features, head).tolist() == [1]


def test_the_map_of_a_class_adds_up_to_its_logit():
    classifier, clips = Classifier(Cells(), 5).eval(), torch.randn(3, 3, 8, 16, 16)
    features, classes = classifier.backbone.forward_features(clips), torch.tensor([4, 0, 2])
    maps = class_activation(features, classifier.head, classes)
    logits = maps.mean(dim=(1, 2, 3)) + classifier.head.bias[classes]
    assert_close(logits, classifier(clips)[torch.arange(3), classes])


def test_energy_is_the_length_and_similarity_the_cosine_with_the_mean():
    features = torch.randn(2, 7, 2, 3, 4)
    place = features[1, :, 1, 2, 0]
    assert_close(energy(features)[1, 1, 2, 0], place.norm())
    assert_close(similarity(features)[1, 1, 2, 0], F.cosine_similarity(place, features[1].mean(dim=(1, 2, 3)), dim=0))
    assert similarity(features).abs().max() <= 1


def test_the_share_is_100_for_the_mask_0_beside_it_and_the_area_for_what_knows_nothing():
    mask = torch.rand(5, 4, 8, 8) < 0.3
    area = 100 * mask.flatten(1).double().mean(dim=1)
    assert_close(foreground_share(3.0 * mask, mask), torch.full((5,), 100.0).double())
    assert_close(foreground_share(1.0 * ~mask, mask), torch.zeros(5).double())
    assert_close(foreground_share(torch.full((5, 4, 8, 8), 0.2), mask), area)
    assert_close(foreground_share(torch.zeros(5, 4, 8, 8), mask), area)
    assert foreground_share(torch.rand(1, 4, 8, 8), torch.zeros(1, 4, 8, 8, dtype=torch.bool)).isnan().all()


def test_unmoved_maps_are_enlarged_as_torch_does():
    maps = torch.rand(2, 2, 3, 4)
    expected = F.interpolate(maps.unsqueeze(1), (6, 12, 20), mode="trilinear", align_corners=False).squeeze(1)
    assert_close(align_to_clips(maps, (6, 12, 20), (0, 0, 0)), expected)


def test_a_shift_moves_maps_to_where_they_look():
    maps = torch.rand(1, 4, 8, 8)
    moved = align_to_clips(maps, (4, 8, 8), (1, -2, 3))
    assert_close(moved[:, 1:, :-2, 3:], maps[:, :-1, 2:, :-3])


@pytest.mark.parametrize(("strides", "expected"), [((1,), 0), ((2,), -0.5), ((2, 2), -1.5), ((2, 2, 2), -3.5)])
def test_the_shift_of_strided_convolutions_is_measured(strides, expected):
    shift = measured_shift(convolutions(*strides), torch.Size((3, 32, 32, 32)), torch.device("cpu"))
    assert shift == pytest.approx([expected] * 3, abs=0.35)


def test_cells_that_do_not_overlap_look_at_the_middle_of_their_squares():
    shift = measured_shift(convolutions(2, 2, 2, kernel=2), torch.Size((3, 32, 32, 32)), torch.device("cpu"))
    assert shift == pytest.approx((0, 0, 0), abs=0.35)


def test_the_masks_are_those_of_the_frames_that_are_shown(tmp_path):
    data = evaluation_of(Cells(), tmp_path).datamodule
    batch = data.eval_views(next(iter(middle_clips(data, "swap", np.array([3, 14]), rank=0, world_size=1))))
    assert batch["index"].tolist() == [3, 14]
    whole = data.source.masks("swap", [3, 14])
    for place, frames in enumerate(batch["frames"][:, 0].tolist()):
        # The middle 28 of 32 pixels, enlarged to 32.
        expected = torch.from_numpy(whole[place][frames][:, 2:-2, 2:-2]).float().unsqueeze(0)
        expected = F.interpolate(expected, (32, 32), mode="bilinear", align_corners=False).squeeze(0) > 0.5
        found = batch["foreground"][place, 0, 0]
        assert (found & expected).sum() > 0.9 * (found | expected).sum() > 0


class Moving(Cells):
    """Features that are large where a clip differs from its median."""

    def forward_features(self, clips):
        motion = (clips - clips.median(dim=2, keepdim=True).values).square()
        return F.avg_pool3d(motion, (1, 2, 2)).repeat(1, 2, 1, 1, 1)


def test_a_network_that_sees_motion_looks_at_the_actor(tmp_path):
    metrics = Cam(measured=8, videos=1, kinds=("energy",)).run(evaluation_of(Moving(), tmp_path, query="balanced"))
    assert metrics["cam/foreground_ratio/energy"] > 3
    share, area = metrics["cam/foreground_share/energy"], metrics["cam/foreground_area"]
    assert metrics["cam/foreground_ratio/energy"] == pytest.approx(share / area)


DRAWN = ["tasks.cam.videos=2", "tasks.cam.fps=5"]


def test_maps_of_several_networks_stand_beside_each_other(finetuned, evaluate):
    run = evaluate("task=cam", "checkpoint=[random,latest]", "query=swap", "tasks.cam.measured=5", *DRAWN)
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"cam/foreground_share/energy", "cam/foreground_ratio/similarity"} <= metrics["random init"].keys()
    assert "cam/foreground_share/class" in metrics["demo_finetune"]
    assert metrics["random init"]["cam/foreground_area"] == metrics["demo_finetune"]["cam/foreground_area"]
    names = {file.relative_to(run / "cam").as_posix() for file in (run / "cam").rglob("*.*")}
    assert {"swap_energy.gif", "swap_energy.mp4", "swap_energy.png", "demo_finetune/swap.gif"} <= names
    assert "swap_class.gif" not in names
    films = load(run / "cam" / "demo_finetune" / "swap.npz")
    assert films.frames.shape == (2, 8, 32, 32, 3)
    assert films.titles[1].splitlines()[0::2] == ["spin", "swap/00015.mp4"]
    assert all(0 <= heat.min() < heat.max() <= 1 for heat in films.heat.values())
    with Image.open(run / "cam" / "swap_energy.gif") as film:
        assert (film.n_frames, film.info["duration"]) == (8, 200)
    with Image.open(run / "cam" / "demo_finetune" / "swap.gif") as film:
        assert (film.n_frames, film.info["duration"]) == (8, 200)


def test_videos_without_masks_are_measured_by_motion(trained, evaluate, video_folder):
    data = ["data=ucf101", f"data.root={video_folder}", "data.num_classes=2", "data.val_share=0"]
    lists = ["data.splits.train=train.txt", "data.splits.test=test.txt", "tasks.cam.videos=1"]
    metrics = json.loads((evaluate("task=cam", *data, *lists) / "metrics.json").read_text())
    assert 1 < metrics["cam/foreground_area"] < 90
    assert 0 < metrics["cam/foreground_share/similarity"] < 100


def test_a_trainer_that_stops_early_leaves_the_videos_it_saw(tmp_path):
    evaluation = evaluation_of(Cells(), tmp_path)
    evaluation.trainer.limit_predict_batches = 1  # of 8 videos
    Cam(videos=4).run(evaluation)
    assert [title.split()[-1] for title in load(tmp_path / "cam" / "net" / "test.npz").titles] == [
        "iid/00000.mp4",
        "iid/00005.mp4",
    ]


def test_class_maps_without_a_head_are_refused(tmp_path):
    with pytest.raises(ValueError, match="kinds among class, energy, similarity, got gradient"):
        Cam(kinds=("energy", "gradient"))
    with pytest.raises(ValueError, match="0 <= videos <= measured, got 9 and 8"):
        Cam(videos=9, measured=8)
    evaluation = Evaluation("net", Cells(), None, None, None, "train", ["test"], tmp_path)
    with pytest.raises(ValueError, match="expected a checkpoint with a trained head, got 'net'"):
        Cam(kinds=("class",)).run(evaluation)


@pytest.mark.parametrize(("count", "most", "expected"), [(10, 3, [0, 4, 9]), (2, 5, [0, 1]), (7, 1, [0])])
def test_videos_are_spread_evenly(count, most, expected):
    assert spread(np.arange(count), most).tolist() == expected
