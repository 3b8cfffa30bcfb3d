"""Tests loading a backbone with its preprocessing from a checkpoint."""

import pytest
import torch
from torch.testing import assert_close

import tbe
from tbe.checkpoints.checkpoint import read


def test_a_run_gives_its_backbone_and_how_its_clips_are_made(run):
    network = tbe.load(run)
    assert not network.training
    expected = read(run / "checkpoints" / "last.ckpt").backbone().state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name])
    assert network.preprocessing == tbe.Preprocessing(
        num_frames=8, stride=2, size=32, short_side=40, crop=0.875, mean=(0.43216, 0.394666, 0.37645),
        std=(0.22803, 0.22145, 0.216989),
    )  # fmt: skip


def test_a_file_a_name_and_latest_are_the_same_checkpoint(run):
    found = [run / "checkpoints" / "last.ckpt", run, run.parent, "latest"]
    weights = [next(tbe.load(name, runs=run.parent.parent).parameters()) for name in found]
    assert all(torch.equal(weights[0], other) for other in weights)
    with pytest.raises(FileNotFoundError, match="expected a file, a run's folder or 'latest', got 'nowhere'"):
        tbe.load("nowhere")


def test_weights_of_other_projects_need_only_a_backbone(tmp_path):
    network = tbe.build("backbone", "tiny")
    torch.save({"state_dict": network.state_dict()}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="expected backbone=<a choice of configs/backbone>"):
        tbe.load(tmp_path / "weights.pth")
    clips = torch.randn(2, 3, 8, 32, 32)
    for backbone in ("tiny", tbe.build("backbone", "tiny")):
        loaded = tbe.load(tmp_path / "weights.pth", backbone=backbone)
        assert loaded.preprocessing is None
        assert_close(loaded(clips), network.eval()(clips))
    loaded = tbe.load(tmp_path / "weights.pth", backbone="tiny", preprocessing="8x2_64")
    assert (loaded.preprocessing.num_frames, loaded.preprocessing.size, loaded.preprocessing.crop) == (8, 64, 0.875)
    with pytest.raises(ValueError, match="expected the weights of C3D"):
        tbe.load(tmp_path / "weights.pth", backbone="c3d")


def test_a_checkpoint_of_ours_refuses_another_backbone(run):
    with pytest.raises(ValueError, match="expected the weights of C3D"):
        tbe.load(run, backbone="c3d")


def test_a_network_of_flow_has_two_channels_to_normalize(tmp_path):
    torch.save(tbe.build("backbone", "tiny", in_channels=2).state_dict(), tmp_path / "flow.pth")
    backbone = tbe.build("backbone", "tiny", in_channels=2)
    assert tbe.load(tmp_path / "flow.pth", backbone=backbone, preprocessing="8x2_64").preprocessing.mean == (0.5, 0.5)


def test_clips_that_are_not_the_middle_of_a_video_are_refused(run, tmp_path):
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    content["tbe"]["config"]["eval_augment"]["crop"] = {"_target_": "tbe.augment.RandomCrop", "share": 0.5}
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="expected an eval_augment with a CenterCrop, got tbe.augment.RandomCrop"):
        tbe.load(tmp_path / "other.ckpt")
    assert tbe.load(tmp_path / "other.ckpt", preprocessing="8x2_64").preprocessing.crop == 0.875


def test_chosen_clips_keep_the_crop_and_the_colors_of_the_checkpoint(run, tmp_path):
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    content["tbe"]["config"]["eval_augment"] |= {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}
    content["tbe"]["config"]["eval_augment"]["crop"]["share"] = 1.0
    torch.save(content, tmp_path / "own.ckpt")
    found = tbe.load(tmp_path / "own.ckpt", preprocessing="8x2_64").preprocessing
    assert (found.size, found.crop, found.mean, found.std) == (64, 1.0, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
