"""Every experiment composes as it is, and trains two steps with its own method, on generated clips of a small size.

What its name says of the method is what the variant of that name says.

Its own network is built without memory; that each network trains with each method is tested for itself.
"""

import functools
import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from tbe.config import build, plain
from tests.conftest import ROOT, assert_in_effect, composed, moving_square

FOLDER = ROOT / "configs" / "experiment"
EXPERIMENTS = sorted(file.stem for file in FOLDER.glob("[!_]*.yaml") if file.stem != "none")
SIZE = [
    "clip.num_frames=8",
    "clip.stride=1",
    "clip.size=32",
    "clip.short_side=36",
    "batch_size=2",
    "datamodule.eval_batch_size=2",
    "datamodule.val_limit=2",
    "evaluation.clips=1",
    "contrastive.queue_size=4",
    "epochs=1",
    "datamodule.num_workers=0",
    "trainer=cpu",
    "precision=32-true",  # gradients of 3D convolutions in bf16 are sometimes not finite on a CPU
    "validate_every=1",
    "accumulate=1",
    "trainer.limit_train_batches=2",
    "trainer.limit_val_batches=1",
    "trainer.limit_predict_batches=1",
    "logger=csv",
    "~callbacks.best",  # nothing to come back to: checkpoints of large networks take longer than the steps
    "~callbacks.last",
    "+trainer.enable_checkpointing=false",
    "++data.val_share=0.3",
    "data.splits.train=train.txt",
    "data.splits.test=test.txt",
]
DRAWN = ["data.num_train=8", "data.num_val=4", "data.num_test=4", "data.num_actions=2", "data.num_scenes=2"]
DRAWN += ["data.size=32", "data.num_frames=8"]


@pytest.fixture(scope="module")
def frame_folders(tmp_path_factory):
    """The lists of `video_folder`, with a folder of pictures a video."""
    folder = tmp_path_factory.mktemp("frames")
    for name, count in {"train": 8, "test": 4}.items():
        rows = []
        for number in range(count):
            video = folder / name / str(number)
            video.mkdir(parents=True)
            for place, frame in enumerate(moving_square(10, seed=number), start=1):
                Image.fromarray(np.ascontiguousarray(frame)).save(video / f"{place:05d}.jpg")
            rows.append(f"{name}/{number} {number % 2}\n")
        (folder / f"{name}.txt").write_text("".join(rows))
    return folder


@functools.cache
def built_without_memory(backbone):
    with torch.device("meta"):
        return build(json.loads(backbone))


def is_trained(experiment):
    """Whether more than the variant differs from another recipe; where that alone does, one set's are trained."""
    chosen = OmegaConf.load(FOLDER / f"{experiment}.yaml").get("defaults", [])
    is_variant = any(str(choice).startswith("/variant/") for choice in chosen) and "_self_" in chosen
    return not is_variant or experiment.startswith("hmdb51")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_its_settings_take_effect_and_two_steps_are_trained(experiment, train, video_folder, frame_folders, tmp_path):
    config = composed("train", f"experiment={experiment}", run_dir=tmp_path)
    assert config.name == experiment
    assert_in_effect(FOLDER / f"{experiment}.yaml", OmegaConf.to_container(config))
    build(plain(config)["datamodule"])
    assert built_without_memory(json.dumps(plain(config.backbone))).num_features > 0
    if not is_trained(experiment):
        return
    is_vit = config.backbone._target_.endswith("ViT")
    small = (
        ["backbone=vit_micro", "backbone.width=24", "backbone.depth=2"]
        if is_vit
        else ["backbone=tiny", "backbone.widths=[4,8,8,8]"]
    )
    overrides = [f"experiment={experiment}", *SIZE, *small]
    if "splits" not in config.data:
        overrides = [part for part in overrides if not part.startswith(("data.", "++data."))] + DRAWN
    else:
        root = frame_folders if "template" in config.reader else video_folder
        overrides += [f"data.root={root}", f"data.lists={root}"]
        overrides += [f"data.splits.{split}=test.txt" for split in config.data.splits if split not in ("train", "test")]
        if config.data.get("scenes"):
            overrides += [f"data.scenes={root}", "data.masks=null", "data.num_classes=2"]
    if config.data.get("groups"):  # told by names that these videos don't have
        overrides += ["data.groups=null"]
    if "scene_swap" in (config.tasks or {}):  # wants classes that occur in several scenes
        overrides += ["evaluation.splits=[]"]
    if "best" not in config.callbacks:
        overrides.remove("~callbacks.best")
    if "cam" in (config.tasks or {}):  # wants all videos of a split
        overrides.remove("trainer.limit_predict_batches=1")
    run = train(*overrides, small=False)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["protocol"]["steps"] == 2
    assert np.isfinite(metrics["train/loss"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_says_how_it_is_run(experiment):
    comments = [
        line.removeprefix("#").strip()
        for line in (FOLDER / f"{experiment}.yaml").read_text().splitlines()
        if line.startswith("#")
    ]
    assert len(comments) >= 3
    assert any(f"experiment={experiment}" in line or experiment == "demo" for line in comments)
    config = composed("train", f"experiment={experiment}", run_dir=".")
    gpus = 8 if any("trainer=ddp" in line for line in comments) else 1
    is_small = experiment.startswith(("demo", "biased_scenes", "proof"))  # tried with whatever batch
    assert config.lr_batch == (None if is_small else config.batch_size * config.accumulate * gpus)


VARIANTS = sorted((file.stem for file in (ROOT / "configs" / "variant").glob("[!_]*.yaml")), key=len, reverse=True)


def variant_in(experiment):
    """The variant that the name of an experiment has: moco_negative of ucf101_moco_negative_released."""
    return next((variant for variant in VARIANTS if f"_{variant}_" in f"_{experiment}_"), None)


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if variant_in(name)])
def test_a_recipe_with_a_method_in_its_name_is_that_recipe_with_that_variant(experiment):
    variant, own = variant_in(experiment), composed("train", f"experiment={experiment}", run_dir=".")
    base = experiment.replace(f"_{variant}", "")
    base = base if base in EXPERIMENTS else experiment
    said = [
        f"name={experiment}",
        f"contrastive.mlp={own.contrastive.mlp}",
    ]  # the head is the recipe's, not the variant's
    assert plain(own) == plain(composed("train", f"experiment={base}", f"variant={variant}", *said, run_dir="."))


@pytest.mark.parametrize(
    "experiment", [name for name in EXPERIMENTS if variant_in(name) in ("moco", "moco_negative", "be")]
)
def test_moco_has_no_extra_negative_and_what_be_is_compared_with_has(experiment):
    config = composed("train", f"experiment={experiment}", run_dir=".")
    usual = "other_video" if experiment.startswith("something") else "same_video"
    assert config.method.negative == ("none" if variant_in(experiment) == "moco" else usual)
    assert config.be.ratio == (0.3 if variant_in(experiment) == "be" else 0)
