"""Models of any origin are audited: by name in a command, and as networks in Python."""

import json
import os

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.io import write_png

import tbe
from tbe.api.audit import _source
from tbe.auditing.models import NormalizedEncoder, names_of, preprocessing_of
from tbe.data.video_writer import write_video
from tbe.encoders import load_encoder
from tbe.eval import read_subjects


class Corner(nn.Module):
    """Reads the mean color of a corner of normalized clips."""

    def forward(self, clips):
        return clips[..., :4, :4].mean(dim=(2, 3, 4))


def numbers(run):
    metrics = json.loads((run / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if name != "protocol"}


def test_a_model_by_name_gives_what_its_checkpoint_gives(trained, evaluate):
    run = trained
    small = ["clips=1", "audit.pictures=1", "audit.draws=100", "tasks.audit.weights=[]"]
    exported = "tasks.export.formats=[safetensors]"
    one = evaluate("task=[audit,export]", f"checkpoint={run}", *small, exported)
    card = (one / "export" / "demo" / "README.md").read_text()
    assert "## Background bias" in card
    assert "| given the class of that background (SBErr) | " in card
    data = ["data.num_train=32", "data.num_val=16", "data.num_test=16", "data.num_actions=4", "data.num_scenes=4"]
    data += ["data=biased_scenes", "data.size=32", "data.num_frames=16"]
    options = ["model_options.pool=mean", "model_options.frame_stride=2"]  # as they are
    other = evaluate("task=[linear,audit]", *small, f"model={run}", *options, *data, folder="by name")
    found = numbers(other)
    same = {name: value for name, value in numbers(one).items() if not name.startswith("export/")}
    assert same == pytest.approx({name: found[name] for name in same}, nan_ok=True)
    assert found["audit/clean_top1"] == found["linear/top1"]
    name = names_of([str(run)])[0]
    about = json.loads((other / "audit" / name / "audit.json").read_text())["about"]
    assert about["origin"]["loaded"].startswith("matched ")
    assert about["clips"] == {"per video": 1, "frames": 8, "stride": 2}
    assert len(list((other / "audit" / name / "clips").glob("*_map.webp"))) == 3
    with pytest.raises(ValueError, match="cam: expected a backbone of this project .*, got the model"):
        evaluate("task=cam", f"model={run}", *data, folder="maps")
    with pytest.raises(ValueError, match="expected data=<choice> beside model="):
        evaluate("task=[audit,export]", f"model={run}", folder="without data")
    with pytest.raises(ValueError, match="expected no backbone= beside model=, which says it"):
        evaluate("task=audit", f"model={run}", "data=biased_scenes", "backbone=tiny", folder="twice")


def test_a_normalized_encoder_undoes_what_was_normalized(trained):
    encoder = load_encoder(str(trained))
    made, clips = preprocessing_of(encoder), torch.rand(2, 3, encoder.spec.num_frames, *encoder.spec.size)
    mean, std = (torch.tensor(part).view(-1, 1, 1, 1) for part in (made.mean, made.std))
    network, normalized = NormalizedEncoder(encoder), (clips - mean) / std
    assert torch.allclose(network(normalized), encoder(clips), atol=1e-5)
    assert torch.allclose(network.tokens(normalized), encoder.tokens(clips), atol=1e-5)
    assert torch.allclose(network.maps(normalized), encoder.maps(clips), atol=1e-5)


def test_random_weights_of_a_model_follow_from_the_seed():
    pytest.importorskip("timm", reason="needs timm: pip install -e '.[timm]'")
    config = {"model": ["timm:test_vit@random"], "checkpoint": ["timm:test_vit@random"], "split": None, "runs": "runs"}
    weights = []
    for seed in (0, 0, 1):
        (subject,) = read_subjects({**config, "seed": seed, "model_options": {"size": None}})
        weights.append(torch.cat([tensor.flatten() for tensor in subject.checkpoint.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_models_are_named_as_folders_can_be_and_folders_by_their_own_name(tmp_path):
    assert names_of(["hf:org/model-base", "timm:vit.b@random"]) == ["hf_org_model-base", "timm_vit.b@random"]
    folders = [tmp_path / place for place in ("a/net", "b/net", "b/other")]
    for folder in folders:
        folder.mkdir(parents=True)
    net, again, other = map(str, folders)
    assert names_of([f"hf:{net}@random", other]) == ["hf_net@random", "other"]
    assert len(set(names_of([net, again]))) == 2
    for twice, message in ((["hf:a/b"] * 2, "expected each model once"), (["hf:a/b", "hf:a:b"], "names differ")):
        with pytest.raises(ValueError, match=message):
            names_of(twice)


def test_networks_are_audited_in_python(video_folder, tmp_path):
    rows = [line.rsplit(" ", 1) for name in ("train", "test") for line in (video_folder / f"{name}.txt").open()]
    paths, labels = [video_folder / path for path, _ in rows], [f"class {int(label)}" for _, label in rows]
    made = tbe.Preprocessing(num_frames=4, stride=2, size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    few = {"min_videos": 2, "draws": 100, "num_clips": 1, "accelerator": "cpu"}
    settings = {"preprocessing": made, "pictures": 1, "out": tmp_path, "leaderboard": tmp_path / "audit.csv", **few}
    card = tbe.audit({"one": Corner(), "other": Corner()}, paths, labels, **settings)
    assert card.metrics["one"] == pytest.approx(card.metrics["other"], nan_ok=True)
    assert "what moves" in (tmp_path / "audit" / "one" / "audit.json").read_text()
    assert "class 1" in card.file.read_text(encoding="utf-8")
    assert (tmp_path / "audit.csv").read_text().count("\n") == 3
    with pytest.raises(ValueError, match="expected a network with a `preprocessing`.*got Corner"):
        tbe.audit(Corner(), paths, labels, out=tmp_path, **few)
    with pytest.raises(ValueError, match=r"expected videos with a label each \(test\), got 12 and 1"):
        tbe.audit(Corner(), paths, labels[:1], **settings)
    with pytest.raises(ValueError, match=r"expected videos with a label each \(test\), got a single path and 1"):
        tbe.audit(Corner(), paths[0], labels[:1], **settings)
    with pytest.raises(ValueError, match="expected a label of each video, got -1, which stands for none"):
        tbe.audit(Corner(), paths, [-1, *range(len(paths) - 1)], **settings)
    masks = tmp_path / "masks" / os.path.relpath(paths[0], video_folder)
    masks.with_suffix("").mkdir(parents=True)
    write_png(torch.zeros(1, 32, 40, dtype=torch.uint8), str(masks.with_suffix("") / "000001.png"))
    with pytest.raises(ValueError, match=r"data.masks: expected a mask of each of the \d+ frames of .*, got 1"):
        tbe.audit(
            Corner(), paths, labels, train_videos=paths, train_labels=labels, masks=tmp_path / "masks", **settings
        )
    with pytest.raises(ValueError, match="expected labels that are all numbers or all names, got both"):
        tbe.audit(Corner(), paths, [0, *labels[1:]], **settings)
    for wrong, message in (
        ({"train_labels": labels}, "expected train_videos= beside train_labels=, got none"),
        ({"mask_above": 9}, "expected masks= beside mask_above=, got none"),
        ({"groups": labels, "train_videos": paths, "train_labels": labels}, "expected no groups= beside train_videos="),
        ({"groups": labels[:3]}, "expected a group of each of 12 videos, got 3"),
        ({"groups": labels}, "expected groups of which some can be held out, each class in two at least, got 2"),
        (
            {"train_videos": paths, "train_labels": ["class 0"] * len(paths)},
            "labels that train_labels have, too, got 'cl",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            tbe.audit(Corner(), paths, labels, **settings, **wrong)
    with pytest.raises(ValueError, match="expected a label of each video, got -1, which stands for none"):
        tbe.audit(Corner(), paths, torch.tensor([-1, *range(len(paths) - 1)]), **settings)
    for models, got in (({}, "none"), (lambda clips: clips, "function")):
        with pytest.raises(ValueError, match=f"expected networks .*, got {got}"):
            tbe.audit(models, paths, labels, **settings)
    with pytest.raises(ValueError, match="expected masks of the videos of test below data.masks=.*none for any of 6"):
        tbe.audit(Corner(), paths, labels, masks=video_folder / "none", **settings)


def test_labels_may_be_a_tensor_and_groups_stay_together(video_folder, tmp_path):
    paths, labels = [f"{number}.mp4" for number in range(40)], torch.arange(40) % 4
    groups = [number // 8 for number in range(40)]
    source = _source("videos", paths, labels, None, None, None, 0, 0, groups)
    assert source.class_names == ["0", "1", "2", "3"]
    found = {
        split: {int(path.split("/")[-1][:-4]) // 8 for path in names(source, split)} for split in ("train", "test")
    }
    assert found["train"] | found["test"] == set(range(5))
    assert not found["train"] & found["test"]
    assert 2 <= len(found["test"]) <= 3  # a half


def names(source, split):
    return [os.fsdecode(path) for path in source.records(split).paths]


def test_masks_are_named_like_the_videos_below_their_folder_or_by_folder_and_name(video_folder, tmp_path):
    videos = sorted((video_folder / "class 0").glob("*.mp4"))[:2]
    for place, video in (("flat", videos[0].name), ("nested", f"class 0/{videos[1].name}")):
        write_video(tmp_path / place / video, np.full((12, 32, 40, 3), 255, np.uint8), fps=25)
    found = {}
    for place in ("flat", "nested"):
        source = _source("videos", videos, [0, 0], videos, [0, 0], tmp_path / place, 127, seed=0)
        found[place] = [source.foreground("test", index, [0, 3]) is not None for index in range(2)]
    assert found == {"flat": [True, False], "nested": [False, True]}
