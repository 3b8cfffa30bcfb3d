"""Runs of eval.py's work in this process."""

import csv
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

import tbe as api
from tbe import eval as entry
from tbe.augment.clip_augment import KINETICS_MEAN, KINETICS_STD
from tbe.backbones.base import VideoBackbone
from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints.foreign.family import Colors
from tbe.config import build
from tbe.data.clip_samplers import UniformClips
from tbe.data.readers import DecordReader
from tbe.data.sources.records import make_records, write_list
from tbe.encoders import load_encoder
from tbe.errors import UserError
from tbe.evaluation.features import extract
from tbe.evaluation.perturbations import Clean
from tbe.launch import train_config
from tests.conftest import NARROW, SMALL, composed, rewrite_checkpoint


def metrics_of(run):
    return json.loads((run / "metrics.json").read_text())


def kernels_of(checkpoint):
    """The kernels of the backbone in a checkpoint."""
    prefix, weights = checkpoint["tbe"]["backbone"], checkpoint["state_dict"]
    return [value for name, value in weights.items() if name.startswith(prefix) and value.ndim == 5]


def lists_of(folder, video_folder, **lists):
    """Overrides for data of these lists: split -> rows of (path, label) in `video_folder`."""
    for split, rows in lists.items():
        write_list(folder / f"{split}.txt", rows)
    data = ["data=ucf101", f"data.root={video_folder}", f"data.lists={folder}", "data.num_classes=2"]
    return [*data, "data.val_share=0", "data.splits.train=train.txt", "data.splits.test=test.txt"]


PLAIN = "tasks.retrieval.pictures=0"  # half of the time of a retrieval
UNTRAINED = ["checkpoint=random", "clip=8x2_32", "backbone=tiny"]
VIDEOS = [(f"class {number % 2}/video {number}.mp4", number % 2) for number in range(12)]


def test_every_task_measures_a_pretrained_network_and_again_to_the_last_digit(trained, evaluate, capsys):
    run = evaluate("task=all", "checkpoint=latest")
    metrics = metrics_of(run)
    measured = {"retrieval/R@1", "retrieval/R@20", "retrieval/mAP", "linear/top1", "linear/top5", "knn/top1"}
    assert measured | {"semi/1%_top1", "semi/10%_top1_deviation"} <= metrics.keys()
    assert 0 <= metrics["retrieval/R@1"] <= metrics["retrieval/R@5"] <= 100
    protocol = metrics["protocol"]
    assert protocol["data"] == "biased_scenes"
    assert (protocol["gallery"], protocol["query"], protocol["clips"]) == ("train", ["test"], 2)
    assert (run / "retrieval" / "demo" / "neighbors.png").stat().st_size > 1000
    features = np.load(run / "features" / "demo" / "test_features.npy")
    assert features.shape == (16, 8)
    assert np.load(run / "features" / "demo" / "test_labels.npy").shape == (16,)
    assert len((run / "features" / "demo" / "test_paths.txt").read_text().splitlines()) == 16
    assert capsys.readouterr().out.strip().splitlines()[-1] == f"run: {run}"
    again = metrics_of(evaluate("task=all", f"checkpoint={trained}", folder="again"))
    assert {**again, "protocol": None} == {**metrics, "protocol": None}


def test_the_untrained_network_stands_beside_the_trained_one(trained, evaluate):
    run = evaluate("task=[retrieval,knn]", PLAIN, "checkpoint=[random,latest]", "query=[iid,swap]")
    metrics = metrics_of(run)
    assert list(metrics) == ["random init", "demo", "protocol"]
    assert {"retrieval/R@1/iid", "retrieval/R@1/swap", "knn/top1/swap"} <= metrics["demo"].keys()
    assert metrics["random init"] != metrics["demo"]
    assert metrics["protocol"]["checkpoints"]["demo"]["step"] == 4


def test_two_runs_of_a_name_keep_their_own_columns_and_other_clips_of_the_second_are_warned_of(
    trained, evaluate, caplog
):
    second = shutil.copytree(trained, trained.with_name("b"))
    runs = f"checkpoint=[{trained},{second}]"
    metrics = metrics_of(evaluate("task=retrieval", PLAIN, runs))
    assert list(metrics) == ["demo", "demo (b, last)", "protocol"]
    assert "trained on other clips" not in caplog.text
    rewrite_checkpoint(second, lambda checkpoint: checkpoint["tbe"]["config"]["clip"].update(stride=1))
    files = [str(run / "checkpoints" / "last.ckpt") for run in (trained, second)]
    config = {"split": None, "model": None, "checkpoint": files, "backbone": None, "min_matched": 0.9, "data": {}}
    entry.read_subjects(config | {"tasks": {"retrieval": {}}})
    assert "demo (b, last): trained on other clips, crops or colors than demo, and measured on" in caplog.text
    with pytest.raises(UserError, match=r"task=export: .* got others of demo \(b, last\) than of demo. Export each by"):
        entry.read_subjects(config | {"tasks": {"export": {}}})  # their cards say which clips they take


def test_features_of_models_with_other_heads_are_kept_apart(tmp_path):
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install -e '.[hf]'")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32, "image_size": 32, "num_frames": 4}
    parts = dict.fromkeys(
        ("data", "reader", "clip", "eval_augment", "clips", "crops", "precision", "seed", "model_options")
    )
    caches = []
    for heads in (2, 4):  # of the same weights
        torch.manual_seed(0)
        network = transformers.VideoMAEModel(transformers.VideoMAEConfig(**sizes, num_attention_heads=heads))
        network.save_pretrained(tmp_path / "net")
        crop = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
        transformers.VideoMAEImageProcessor(**crop).save_pretrained(tmp_path / "net")
        encoder = load_encoder(f"hf:{tmp_path / 'net'}")
        caches.append(entry._cache({"cache": "features", "trainer": {}, **parts}, encoder, encoder))
    assert caches[0].network == caches[1].network
    assert caches[0].protocol != caches[1].protocol


def test_features_of_a_trainer_that_stops_early_are_not_kept_for_other_runs():
    trainer = {"num_nodes": 1, "limit_predict_batches": 2}
    assert entry._cache({"cache": "features", "trainer": trainer}, torch.nn.Identity(), None) is None


def test_features_are_kept_by_all_that_a_network_is_built_of_and_those_of_a_function_not_at_all():
    parts = dict.fromkeys(("data", "reader", "clip", "eval_augment", "clips", "crops", "precision", "seed"))
    records = make_records("", ["a.mp4"], [0], [0])

    def file(positions, datamodule=None):
        backbone = {"_target_": "tbe.backbones.vit.ViT", "width": 8, "depth": 1, "heads": 1, "positions": positions}
        torch.manual_seed(0)
        config = {**parts, "cache": "features", "trainer": {}, "backbone": backbone, "datamodule": datamodule}
        return entry._cache(config, build(backbone), None).file(records, "test", Clean(), False)

    assert file("sincos") == file("sincos") != file("flat")  # whose weights are the same
    assert file("sincos") != file("sincos", {"eval_clips": {"_target_": "my.Sampler"}})
    encoder = load_encoder("torchvision:r3d_18@random", size=16, num_frames=4)
    config = {**parts, "cache": "features", "trainer": {}, "model_options": {}}
    assert entry._cache(config, torch.nn.Identity(), encoder) is not None
    encoder.name = "my.package:function"
    assert entry._cache(config, torch.nn.Identity(), encoder) is None
    encoder.name, encoder.report = "hf:a/b", replace(encoder.report, custom_code=True)
    assert entry._cache(config, torch.nn.Identity(), encoder) is None


def test_copies_of_a_run_in_folders_of_one_name_each_have_a_column():
    copies = [SimpleNamespace(name="be", path=f"/disk{number}/be/checkpoints/last.ckpt") for number in range(4)]
    names = ["be", "be (be, last)", "be (be, last, 2)", "be (be, last, 3)"]
    assert entry._names([*copies, None]) == [*names, "random init"]


def test_runs_of_a_name_are_told_apart_by_their_variants_and_drawn_beside_each_other(trained, evaluate, tmp_path):
    runs = [trained, shutil.copytree(trained, trained.with_name("b"))]
    for run, variant in zip(runs, ("moco", "inter"), strict=True):
        of_variant = composed("train", f"variant={variant}", run_dir=tmp_path).variant
        rewrite_checkpoint(run, lambda checkpoint, name=of_variant: checkpoint["tbe"]["config"].update(variant=name))
    checkpoint = ",".join(map(str, runs))
    run = evaluate("task=retrieval", f"checkpoint=[{checkpoint}]", "tasks.retrieval.pictures=1", "clips=1")
    assert list(metrics_of(run)) == ["demo moco", "demo inter", "protocol"]
    assert [file.name for file in (run / "retrieval").glob("*.png")] == ["side_by_side.png"]


def test_random_alone_needs_its_parts_named(evaluate):
    with pytest.raises(ValueError, match="expected data=<choice> where no trained checkpoint says it"):
        evaluate("checkpoint=random")
    named = ["data=biased_scenes", "clip=8x2_32", "reader=decord", "backbone=tiny", *SMALL[:7]]
    assert 0 <= metrics_of(evaluate("checkpoint=random", PLAIN, *named))["retrieval/R@1"] <= 100


def test_single_keys_of_the_data_can_be_set_over_the_checkpoints(trained, evaluate):
    run = evaluate("task=knn", "+data.label=scene")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["label"] == "scene"
    assert config["data"]["num_train"] == 32


def test_other_data_can_be_searched_with_the_same_network(trained, evaluate, video_folder):
    data = ["data=ucf101", f"data.root={video_folder}", "data.num_classes=2"]
    lists = ["data.splits.train=train.txt", "data.splits.test=test.txt", "data.val_share=0"]
    run = evaluate("task=[retrieval,features]", PLAIN, *data, *lists)
    assert np.load(run / "features" / "demo" / "train_features.npy").shape == (8, 8)
    assert metrics_of(run)["protocol"]["data"] == "ucf101"


def test_a_network_without_a_head_is_not_tested(trained, evaluate):
    with pytest.raises(ValueError, match=r"task=test: expected a checkpoint with a trained head.*got 'demo'"):
        evaluate("task=test")


def test_a_finetuned_network_is_tested_as_at_the_end_of_its_training(finetuned, evaluate):
    metrics = metrics_of(evaluate("task=test", f"checkpoint={finetuned}/checkpoints/best.ckpt"))
    for name in ("test/top1", "test/clip_top1", "test/top5"):
        assert metrics[name] == metrics_of(finetuned)[name]
    told = metrics_of(finetuned)["protocol"]["measured"]
    (best,) = metrics["protocol"]["checkpoints"].values()
    assert (told["epoch"], told["step"]) == (best["epoch"], best["step"])
    assert told["path"].endswith("best.ckpt")


def test_a_run_whose_validation_chose_another_epoch_than_its_last_says_which_is_measured(finetuned, tmp_path, caplog):
    caplog.set_level("INFO")
    chosen = ("trainer=cpu", f"checkpoint={finetuned}")
    entry.prepare(composed("eval", *chosen, run_dir=tmp_path / "evaluation"), list(chosen))
    assert (
        "last.ckpt, of the last epoch; the one that validation chose, which the run's own tasks measured, is best"
        in caplog.text
    )


def test_clips_are_cropped_and_normalized_as_in_the_run_unless_another_augmentation_is_chosen(trained, tmp_path):
    def augmentation(*overrides):
        overrides = (f"checkpoint={trained}", "trainer=cpu", *overrides)
        (stage,) = entry.prepare(composed("eval", *overrides, run_dir=tmp_path / "evaluation"), list(overrides))
        return stage.config["eval_augment"]

    def crop_all(checkpoint):
        augment = checkpoint["tbe"]["config"]["eval_augment"]
        augment |= {"crop": augment["crop"] | {"share": 1.0}, "mean": [0.5, 0.4, 0.3]}

    assert augmentation()["crop"]["share"] == 0.875
    rewrite_checkpoint(trained, crop_all)
    found = augmentation()
    assert (found["crop"]["share"], found["mean"], found["size"]) == (1.0, [0.5, 0.4, 0.3], 32)
    assert augmentation("eval_augment.crop.share=0.5")["crop"]["share"] == 0.5
    chosen = augmentation("augment@eval_augment=center")
    assert (chosen["crop"]["share"], "mean" in chosen) == (0.875, False)


def prepared(folder, *overrides):
    overrides = ("trainer=cpu", *overrides)
    (stage,) = entry.prepare(composed("eval", *overrides, run_dir=folder), list(overrides))
    return stage.config


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("datamodule.eval_clips.stride=8", "clip.stride"),
        ("datamodule.eval_clips.num_clips=3", "clips"),
        ("datamodule.short_side=16", "clip.short_side"),
        ("datamodule.seed=7", "seed"),
        ("+datamodule.eval_views.augment.mean=[0.5,0.5,0.5]", "eval_augment"),
        ("datamodule.eval_views.crops=[{_target_:tbe.augment.UniformCrop}]", "crops"),
        ("trainer.precision=bf16-mixed", "precision"),
    ],
)
def test_what_the_protocol_and_the_kept_features_know_is_what_is_measured(trained, tmp_path, override, named):
    match = rf"expected {override.lstrip('+').split('=')[0].removesuffix('.mean')} to be what {named} says.*set {named}"
    with pytest.raises(ValueError, match=match):
        prepared(tmp_path, f"checkpoint={trained}", override)
    with pytest.raises(ValueError, match=match):
        prepared(tmp_path, "model=torchvision:r3d_18@random", "data=biased_scenes", override)


@pytest.mark.parametrize(
    "override",
    ["checkpoint=latest", "+eval_augment.mean=[0.5,0.5,0.5]", "augment@eval_augment=none", "min_matched=0.5"],
)
def test_settings_that_a_model_does_not_read_are_refused(tmp_path, override):
    key = override.lstrip("+").split("=")[0].rpartition("@")[-1]
    with pytest.raises(ValueError, match=rf"expected no {key}= beside model="):
        prepared(tmp_path, "model=torchvision:r3d_18@random", "data=biased_scenes", override)


def as_videomae(network):
    """A ViT's tensors under the names of VideoMAE's authors."""
    names = {"tubelets.": "patch_embed.proj.", ".attention.qkv.": ".attn.qkv.", ".attention.out.": ".attn.proj."}
    names |= {".mlp.0.": ".mlp.fc1.", ".mlp.2.": ".mlp.fc2."}
    found = {}
    for name, value in network.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        if name.endswith("qkv.bias"):
            stem = name.removesuffix("qkv.bias")
            found[f"{stem}q_bias"], _, found[f"{stem}v_bias"] = value.chunk(3)
        else:
            found[name] = value
    return found


def test_colors_of_another_projects_weights_are_its_own_unless_others_are_chosen(
    trained, tmp_path, caplog, monkeypatch
):
    file, imagenet = tmp_path / "videomae.pth", [0.485, 0.456, 0.406]
    torch.save(as_videomae(api.build("backbone", "vit_micro", positions="flat")), file)
    chosen = (
        f"checkpoint={file}",
        "backbone=vit_micro",
        "backbone.positions=flat",
        "clip=8x2_32",
        "data=biased_scenes",
    )
    found = prepared(tmp_path, *chosen)["eval_augment"]
    assert (found["mean"], found["std"], found["crop"]["share"]) == (imagenet, [0.229, 0.224, 0.225], 0.875)
    assert not caplog.records
    assert "mean" not in prepared(tmp_path, *chosen, "augment@eval_augment=center")["eval_augment"]
    assert "videomae.pth: was trained on colors of mean and std [0.485, 0.456, 0.406]" in caplog.text
    caplog.clear()
    prepared(tmp_path, f"checkpoint=[{trained},{file}]")  # which the network of the first does not fit
    assert not caplog.records
    assert prepared(tmp_path, *chosen, "+eval_augment.mean=[0.5,0.5,0.5]")["eval_augment"]["mean"] == [0.5] * 3
    network = api.build("backbone", "vit_micro", positions="flat")
    loaded = api.load(file, backbone=network, preprocessing="8x2_32").preprocessing
    assert (loaded.mean, loaded.std, loaded.crop) == (tuple(imagenet), (0.229, 0.224, 0.225), 0.875)
    with_colors = composed("train", "stage=finetune", f"init_from={file}", "backbone=vit_micro", run_dir=tmp_path)
    with_colors.backbone.positions = "flat"
    (said,) = train_config._take_weights(with_colors, ["backbone=vit_micro"])
    assert f"was trained on colors of mean and std ({imagenet}" in said
    monkeypatch.setattr("tbe.checkpoints.foreign.ForeignWeights.colors", lambda *args: Colors(imagenet, imagenet))
    prepared(tmp_path, f"checkpoint=[{trained},{file}]")
    assert "videomae.pth: was trained on colors of mean and std [0.485, 0.456, 0.406]" in caplog.text
    with pytest.raises(
        UserError, match=r"task=export: expected weights that were trained on the same colors.*videomae"
    ):
        prepared(tmp_path, f"checkpoint=[{trained},{file}]", "task=export")


def test_a_run_that_is_named_as_a_model_is_not_measured_on_what_it_was_trained_on(trained, tmp_path):
    def train_with_labels(checkpoint):
        config = checkpoint["tbe"]["config"]
        checkpoint["tbe"]["stage"], config["data"] = "finetune", {"name": "ucf101", "split": 1}

    rewrite_checkpoint(trained, train_with_labels)
    config = {"model": [str(trained)], "checkpoint": [str(trained)], "split": [1, 2], "model_options": {}}
    config |= {"data": {"name": "ucf101"}, "seed": 0, "runs": str(tmp_path)}
    with pytest.raises(ValueError, match=r"trained on split 2 of ucf101, got one that was .* labels of split 1, which"):
        entry.read_subjects(config)


def test_results_of_an_evaluation_before_in_its_folder_are_no_results_of_this_one(trained, evaluate):
    task = ["task=retrieval", "tasks.retrieval.pictures=1", "clips=1"]
    run = evaluate(*task, "query=[test,val]", "checkpoint=[latest,random]", folder="twice")
    assert {file.name for file in (run / "retrieval" / "demo").iterdir()} == {"test", "val"}
    assert evaluate(*task, "checkpoint=[latest,random]", folder="twice") == run
    assert not any(file.is_dir() for file in (run / "retrieval" / "demo").iterdir())


def test_results_of_a_subject_below_another_one_are_kept_beside_its(tmp_path):
    subjects = [SimpleNamespace(name=name, split=None) for name in ("proof/inter", "proof", "..", ".", "../other")]
    kept = [tmp_path / "retrieval" / "third" / "a.csv", tmp_path / "other" / "a.csv", tmp_path / "retrieval" / "a.csv"]
    for file in (*kept, tmp_path / "retrieval" / "proof" / "inter" / "a.csv"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    entry.remove_results(subjects, {None: tmp_path}, ["retrieval"])
    assert [file.exists() for file in kept] == [True] * 3
    assert not (tmp_path / "retrieval" / "proof").exists()


def test_latest_without_a_run_is_refused(evaluate):
    with pytest.raises(FileNotFoundError, match="checkpoint=latest: expected a run"):
        evaluate("task=retrieval")


def test_an_unknown_split_is_refused(trained, evaluate):
    with pytest.raises(ValueError, match="'trial'"):
        evaluate("task=retrieval", "query=trial")


def test_the_attentive_probe_is_trained_on_tokens_and_a_second_run_finds_it(evaluate, tmp_path, monkeypatch):
    settings = ["task=attentive", *UNTRAINED, "data=biased_scenes", *SMALL[:7], "clips=2", f"cache={tmp_path}/cache"]
    settings += ["tasks.attentive.epochs=2", "tasks.attentive.flip=true"]
    metrics = metrics_of(evaluate(*settings))
    assert 0 <= metrics["attentive/top1"] <= metrics["attentive/top5"] <= 100
    assert len(list((tmp_path / "cache").glob("*.pt"))) == 1
    monkeypatch.setattr("torch.optim.AdamW.step", None)  # nothing is trained again
    assert metrics_of(evaluate(*settings, folder="again"))["attentive/top1"] == metrics["attentive/top1"]


def test_all_tasks_share_one_extraction_and_the_next_run_reads_it(evaluate, tmp_path, monkeypatch):
    extracted = []

    def counted(network, datamodule, split, *rest):
        extracted.append(split)
        return extract(network, datamodule, split, *rest)

    monkeypatch.setattr("tbe.evaluation.tasks.base.extract", counted)
    settings = ["task=all", *UNTRAINED, "data=biased_scenes", *SMALL[:7], f"cache={tmp_path}/cache"]
    first, second = (metrics_of(evaluate(*settings, folder=name)) for name in ("first", "second"))
    assert extracted == ["train", "test"]
    assert {**first, "protocol": None} == {**second, "protocol": None}


def test_features_of_single_clips_on_request(evaluate):
    settings = ["task=features", *UNTRAINED, "data=biased_scenes", *SMALL[:7], "clips=3", "crops=3"]
    run = evaluate(*settings, "tasks.features.per_clip=true")
    for split, count in {"train": 32, "test": 16}.items():
        assert np.load(run / "features" / "random init" / f"{split}_features.npy").shape == (count, 9, 128)
    averaged = evaluate(*settings, folder="averaged") / "features" / "random init"
    each = np.load(run / "features" / "random init" / "test_features.npy")
    np.testing.assert_allclose(each.mean(axis=1), np.load(averaged / "test_features.npy"), atol=1e-5)


def test_few_clips_per_forward_and_another_memory_format_give_the_same_features(evaluate):
    seen, formats = [], []

    def note(module, inputs):
        if isinstance(module, VideoBackbone):
            seen.append((len(inputs[0]), torch.is_inference_mode_enabled(), module.training))
            kernels = next(weight for weight in module.parameters() if weight.ndim == 5)
            formats.append(kernels.is_contiguous(memory_format=torch.channels_last_3d))

    settings = ["task=features", *UNTRAINED, "data=biased_scenes", *SMALL[:7], "crops=3", "cache=null"]
    features = {}
    with torch.nn.modules.module.register_module_forward_pre_hook(note):
        for count in ("null", "20"):
            run = evaluate(
                *settings, f"max_clips_per_forward={count}", f"performance.channels_last={count == '20'}", folder=count
            )
            features[count] = np.load(run / "features" / "random init" / "test_features.npy")
    assert seen[:4] == [(48, True, False)] * 4  # 8 videos of 2 clips of 3 crops; 32 of train and 16 of test
    assert {sizes for sizes, *_ in seen[6:]} == {20, 8}
    assert formats == [False] * 6 + [True] * (len(seen) - 6)
    assert sum(size for size, *_ in seen) == 2 * 48 * 6
    np.testing.assert_allclose(features["20"], features["null"], atol=1e-6)
    with pytest.raises(
        ValueError, match="max_clips_per_forward: expected a whole number of at least 1, or null for all, got 0"
    ):
        evaluate(*settings, "max_clips_per_forward=0")


def test_half_precision_gives_nearly_the_same_features(evaluate):
    settings = ["task=features", *UNTRAINED, "data=biased_scenes", *SMALL[:7], "cache=null"]
    full, half = (
        np.load(evaluate(*settings, *more, folder=str(more)) / "features" / "random init" / "test_features.npy")
        for more in ([], ["precision=bf16-mixed"])
    )
    assert full.dtype == half.dtype == np.float32
    assert not np.array_equal(full, half)
    assert np.abs(full - half).max() < 0.02 * np.abs(full).max()


def test_the_views_of_a_video_are_averaged_as_in_a_loop(train, evaluate, video_folder, tmp_path):
    data = lists_of(tmp_path, video_folder, train=VIDEOS[:8], test=VIDEOS[8:])
    network = ["experiment=none", "stage=finetune", "name=small", "backbone=tiny", "clip=8x2_32", "batch_size=2"]
    finetuned = train(*network, *data, "datamodule.num_workers=0", "trainer=cpu", "epochs=1", small=False)
    run = evaluate("task=test", f"checkpoint={finetuned}", "clips=2", "crops=3")

    classifier = checkpoints.read(finetuned / "checkpoints" / "last.ckpt").classifier().eval()
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (KINETICS_MEAN, KINETICS_STD))
    right = []
    with (run / "test" / "small_finetune" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [path for path, _ in VIDEOS[8:]]
    for row, (path, label) in zip(rows, VIDEOS[8:], strict=True):
        video = DecordReader()(str(video_folder / path))
        probabilities = []
        for indices in UniformClips(num_frames=8, stride=2, num_clips=2)(len(video)):
            frames = video.frames(indices.tolist())
            for left in (0, 4, 8):  # 32 of 40 pixels
                clip = (frames[..., left : left + 32].transpose(0, 1) / 255 - mean) / std
                with torch.inference_mode():
                    probabilities.append(classifier(clip.unsqueeze(0)).softmax(dim=1)[0])
        mean_probability = sum(probabilities) / 6
        assert float(row["probability"]) == pytest.approx(mean_probability.max().item(), abs=1e-3)
        assert int(row["prediction"]) == mean_probability.argmax()
        right.append(mean_probability.argmax() == label)
    metrics = metrics_of(run)
    assert metrics["test/top1"] == pytest.approx(100 * np.mean(right))
    assert metrics["test/top1_low"] <= metrics["test/top1"] <= metrics["test/top1_high"]
    assert (metrics["protocol"]["clips"], metrics["protocol"]["crops"]) == (2, 3)
    assert (
        (run / "test" / "small_finetune" / "per_class.csv").read_text().startswith("class,name,videos,correct,accuracy")
    )


def test_each_split_is_measured_and_then_their_mean(trained, evaluate, video_folder, tmp_path):
    lists = {f"test_{number}": VIDEOS[4 * number - 4 : 4 * number] for number in (1, 2, 3)}
    lists |= {f"train_{number}": [row for row in VIDEOS if row not in lists[f"test_{number}"]] for number in (1, 2, 3)}
    data = lists_of(tmp_path, video_folder, **lists)[:-2]
    nets = [shutil.copytree(trained, trained.with_name(f"net_{number}")) for number in (1, 2, 3)]
    rewrite_checkpoint(nets[1], lambda checkpoint: [value.neg_() for value in kernels_of(checkpoint)])
    task = ["task=[retrieval,features]", "tasks.retrieval.ks=[1,2]", PLAIN, *data]

    run = evaluate(*task, "split=[1,2,3]", f"checkpoint='{tmp_path}/runs/net_{{split}}'")
    metrics = metrics_of(run)
    assert list(metrics) == ["split 1", "split 2", "split 3", "mean", "deviation", "protocol"]
    alone = metrics_of(evaluate(*task, "split=2", f"checkpoint={nets[1]}", folder="alone"))
    assert {**alone, "protocol": None} == {**metrics["split 2"], "protocol": None}
    for name in ("retrieval/R@1", "retrieval/mAP", "features/test_videos"):
        values = [metrics[f"split {number}"][name] for number in (1, 2, 3)]
        assert metrics["mean"][name] == pytest.approx(np.mean(values))
        assert metrics["deviation"][name] == pytest.approx(np.std(values, ddof=1))
    protocol = metrics["protocol"]
    assert protocol["split"] == [1, 2, 3]
    paths = {name: origin["path"] for name, origin in protocol["checkpoints"]["demo"].items()}
    assert paths == {f"split {number}": f"{tmp_path}/runs/net_{number}/checkpoints/last.ckpt" for number in (1, 2, 3)}
    for number in (1, 2, 3):
        written = (run / f"split_{number}" / "features" / "demo" / "test_paths.txt").read_text().splitlines()
        assert written == [path for path, _ in lists[f"test_{number}"]]

    def train_with_labels(checkpoint):
        config = checkpoint["tbe"]["config"]
        checkpoint["tbe"]["stage"], config["data"] = "finetune", {"name": "ucf101", "split": 1}

    rewrite_checkpoint(nets[2], train_with_labels)
    with pytest.raises(ValueError, match=r"trained on split 3 of ucf101, got one that was .* labels of split 1, which"):
        evaluate(*task, "split=[1,3]", f"checkpoint={nets[2]}", folder="labels")

    two = metrics_of(evaluate(*task, "split=[1,3]", f"checkpoint=[random,{nets[0]}]", folder="two"))
    assert list(two) == ["random init", "demo", "protocol"]
    assert list(two["demo"]) == ["split 1", "split 3", "mean", "deviation"]
    assert two["demo"]["split 1"] == metrics["split 1"]


@pytest.mark.parametrize(
    ("chosen", "complaint"),
    [
        (
            ["split=[1,2]"],
            r"split=\[1, 2\]: expected a data set with lists of several splits.*got BiasedScenes with no lists",
        ),
        (["split=[1,1]", "data=ucf101"], r"split: expected distinct integers, such as \[1,2,3\], got \[1, 1\]"),
        (
            ["split=[1,2]", "data=ucf101", "data.splits.train=a.txt", "data.splits.test=b.txt"],
            "got ucf101 with a.txt, b.txt",
        ),
        (["checkpoint='net_{split}'"], r"checkpoint=net_\{split\}: expected split=\[1,2,3\] beside it"),
        (["crops=2"], "crops: expected 1 or 3, got 2"),
    ],
)
def test_splits_and_crops_that_there_are_not_are_refused(evaluate, chosen, complaint):
    with pytest.raises(ValueError, match=complaint):
        evaluate("task=retrieval", *UNTRAINED, "data=biased_scenes", *chosen)


def test_a_checkpoint_of_another_architecture_is_refused(trained, evaluate):
    with pytest.raises(ValueError, match=r"expected the weights of .*, got another architecture's: \d+ missing"):
        evaluate("task=knn", "checkpoint=[random,latest]", "backbone=r2plus1d_small")
    assert "knn/top1" in metrics_of(evaluate("task=knn", "checkpoint=latest", "backbone=tiny", NARROW[0]))


def test_a_head_of_other_classes_is_refused(finetuned, evaluate, video_folder, tmp_path):
    data = lists_of(tmp_path, video_folder, train=VIDEOS[:8], test=VIDEOS[8:])
    with pytest.raises(
        ValueError, match=r"of the 4 classes that the head of 'demo_finetune' knows, got 2 \(data=ucf101"
    ):
        evaluate("task=test", *data)


def test_features_that_are_not_finite_are_refused(trained, evaluate):
    rewrite_checkpoint(trained, lambda checkpoint: [value.fill_(torch.nan) for value in kernels_of(checkpoint)])
    with pytest.raises(ValueError, match="expected finite features, got nan or inf for 32 of 32 videos of train"):
        evaluate("task=retrieval")


def test_nothing_to_measure_is_refused(evaluate, video_folder, tmp_path):
    data = UNTRAINED + lists_of(tmp_path, video_folder, train=VIDEOS[:2], test=[])
    with pytest.raises(ValueError, match=r"test.txt: expected at least one line .*, got an empty list"):
        evaluate("task=retrieval", *data)
    # Of a class of one video nothing is held out.
    with pytest.raises(ValueError, match="got .val.: no class of the train list has two videos"):
        evaluate("task=retrieval", *data, "data.val_share=0.1", "query=val")


def test_one_video_is_too_few_for_some_tasks_and_enough_for_others(evaluate, video_folder, tmp_path):
    data = UNTRAINED + lists_of(tmp_path, video_folder, train=VIDEOS[:1], test=VIDEOS[2:3])
    metrics = metrics_of(evaluate("task=[retrieval,knn,features]", *data))
    assert metrics["retrieval/R@1"] == metrics["retrieval/mAP"] == metrics["knn/top1"] == 100
    for task in ("linear", "semi"):
        with pytest.raises(ValueError, match="expected videos of at least two classes to train on, got 1 of label 0"):
            evaluate(f"task={task}", *data)
    with pytest.raises(ValueError, match="few_shot: expected 5 classes"):
        evaluate("task=few_shot", *data)
    with pytest.raises(ValueError, match="expected at least one video of test besides the query itself"):
        evaluate("task=retrieval", "gallery=test", *data)
