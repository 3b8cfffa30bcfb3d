"""Runs of train.py's work in this process."""

import csv
import json
from types import SimpleNamespace

import pytest
import torch
import yaml
from hydra import initialize_config_dir
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.testing import assert_close

import tbe.checkpoints.checkpoint
import tbe.train
from tbe.backbones.base import VideoBackbone
from tbe.config import config_dir
from tbe.data.views import ContrastiveViews
from tbe.errors import UserError
from tbe.launch.stages import Stage
from tbe.launch.train_config import _continue, resolve
from tests.conftest import NARROW, SMALL, composed, run_command


def weights(run, name="last"):
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def curve(run):
    with (run / "metrics.csv").open(newline="") as file:
        return [(row["step"], row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


def assert_same_state(first, second):
    for part in ("global_step", "state_dict", "optimizer_states", "lr_schedulers"):
        assert_close(weights(first)[part], weights(second)[part], rtol=0, atol=0)


def test_a_run_leaves_what_others_script_against(train, capsys):
    run = train("be=original")
    assert (run / "checkpoints" / "last.ckpt").exists()
    assert (run / "checkpoints" / "best.ckpt").exists()
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["be"]["ratio"] == 0.3
    assert config["run_dir"] == str(run)
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0 <= metrics["val/knn_top1"] <= metrics["best/val/knn_top1"] <= 100
    assert metrics["protocol"]["data"] == "biased_scenes"
    assert {"seed", "clip", "versions", "stage", "accumulate", "devices"} <= metrics["protocol"].keys()
    assert capsys.readouterr().out.strip().splitlines()[-1] == f"run: {run}"


def test_training_changes_the_query_encoder_the_key_encoder_and_the_queue(trained_once, train):
    before, after = weights(trained_once)["state_dict"], weights(train("epochs=2"))["state_dict"]
    for name in (
        "method.encoder.projector.layers.0.weight",
        "method.key_encoder.projector.layers.0.weight",
        "method.queue.keys",
    ):
        assert not torch.equal(before[name], after[name])


def test_a_seed_decides_everything_but_the_number_of_workers(trained_once, train):
    assert_same_state(trained_once, train("datamodule.num_workers=2", folder="workers"))
    first, other = (weights(run)["state_dict"] for run in (trained_once, train("seed=1", folder="seed")))
    assert not torch.equal(first["method.queue.keys"], other["method.queue.keys"])


def test_accumulation_moves_the_keys_once_a_step(train):
    run = train("accumulate=2", "method.momentum=0.0")
    state = weights(run)
    assert state["global_step"] == 2
    for name, value in state["state_dict"].items():
        if name.startswith("method.encoder.") and not name.endswith(
            ("running_mean", "running_var", "num_batches_tracked")
        ):
            assert torch.equal(value, state["state_dict"][name.replace("method.encoder", "method.key_encoder")]), name


@pytest.mark.parametrize("stage", ["finetune", "linear"])
def test_a_pretrained_backbone_is_finetuned_and_tested(trained_once, train, stage):
    run = train(f"stage={stage}", f"init_from={trained_once}", "seed=2", folder=stage)
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"test/top1", "test/top5", "test/clip_top1", "val/top1"} <= metrics.keys()
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert "be" not in config
    before, after = weights(trained_once)["state_dict"], weights(run)["state_dict"]
    same = [
        torch.equal(value, after[name.replace("method.encoder.", "classifier.")])
        for name, value in before.items()
        if name.startswith("method.encoder.backbone")
    ]
    assert all(same) if stage == "linear" else not all(same)


def test_no_epochs_leave_the_untrained_network(train):
    ends = ["task=[linear]", "evaluation.clips=1"]
    untrained = train("epochs=0", *ends, "then=biased_scenes_finetune", f"then_with={[*SMALL, 'epochs=1']}")
    other = train("epochs=0", *ends, "seed=1", folder="other")
    weights = [
        tbe.checkpoints.checkpoint.read(run / "checkpoints" / "last.ckpt").backbone() for run in (untrained, other)
    ]
    assert not torch.equal(*(network.stem[0].weight for network in weights))
    metrics = json.loads((untrained / "metrics.json").read_text())
    assert metrics["protocol"]["steps"] == 0
    assert 0 <= metrics["linear/top1"] <= 100
    assert json.loads((untrained / "finetune" / "metrics.json").read_text())["protocol"]["steps"] > 0


def test_pretraining_that_starts_from_weights_has_them_in_the_moving_average_too(trained_once, train):
    run = train("epochs=0", f"init_from={trained_once}", "seed=7", folder="continued")
    of, started = (weights(there)["state_dict"] for there in (trained_once, run))
    for name in (name for name in of if name.startswith("method.encoder.backbone.")):
        assert torch.equal(started[name], of[name])
        assert torch.equal(started[name.replace("encoder", "key_encoder", 1)], of[name])


def test_the_tasks_at_the_end_take_few_clips_at_once(train):
    seen = set()

    def note(module, inputs):
        if isinstance(module, VideoBackbone) and torch.is_inference_mode_enabled():
            seen.add(len(inputs[0]))

    with torch.nn.modules.module.register_module_forward_pre_hook(note):
        few = ["evaluation.clips=2", "evaluation.max_clips_per_forward=5", "tasks.retrieval.pictures=0"]
        train("epochs=0", "task=[retrieval]", *few)
    assert seen == {5, 1}  # of 16 clips of 8 videos


def test_pretraining_can_end_with_tasks_on_several_splits_and_names_those_that_are_not_there(train, caplog):
    tasks = ["task=[linear,retrieval,scenes,cam]", "tasks.cam.videos=0", "tasks.cam.measured=4"]
    run = train(*tasks, "evaluation.splits=[iid,swap,swpa]", "evaluation.clips=1", "trainer.limit_train_batches=1")
    metrics = json.loads((run / "metrics.json").read_text())
    for name in ("linear/top1", "retrieval/R@1", "scenes/scene_R@1", "cam/foreground_share/energy"):
        assert {f"{name}/iid", f"{name}/swap"} <= metrics.keys()
    assert metrics["protocol"]["test"]["clips"] == 1
    assert "evaluation.splits: data=biased_scenes has no swpa: no numbers of it" in caplog.text
    assert not (run / "cam").exists()


def test_the_backbone_comes_from_the_checkpoint_unless_it_is_chosen(train):
    pretrained = train("backbone.widths=[8,16,16,24]", folder="pretrained")
    run = train("stage=finetune", f"init_from={pretrained}", folder="finetuned")
    assert yaml.safe_load((run / "config.yaml").read_text())["backbone"]["widths"] == [8, 16, 16, 24]
    with pytest.raises(ValueError, match="expected the backbone that its weights were trained in, .* widths"):
        train("stage=finetune", f"init_from={pretrained}", "backbone=tiny", folder="refused")


def test_a_run_can_be_followed_by_another_that_starts_from_it(train):
    following = ["trainer=cpu", "epochs=1", *SMALL]
    run = train("then=biased_scenes_finetune", f"then_with={following}", "seed=3")
    assert json.loads((run / "finetune" / "metrics.json").read_text())["test/top1"] >= 0
    config = yaml.safe_load((run / "finetune" / "config.yaml").read_text())
    assert config["init_from"] == str(run / "checkpoints" / "last.ckpt")
    assert config["seed"] == 3


def test_a_run_that_follows_computes_where_the_first_did_and_the_rest_is_its_own(tmp_path):
    def stages(*overrides):
        config = composed("train", "then=biased_scenes_finetune", *overrides, run_dir=tmp_path)
        with initialize_config_dir(config_dir(), version_base="1.3"):
            return [stage.config for stage in tbe.train.prepare(config, list(overrides))]

    told = ["trainer=ddp_cpu", "trainer.num_nodes=3", "process_timeout=7", "trainer.limit_train_batches=2", "epochs=5"]
    first, second = stages(*told, "precision=bf16-mixed", "then_with=['epochs=2','precision=32-true']")
    for part in ("accelerator", "devices", "num_nodes", "strategy"):
        assert second["trainer"][part] == first["trainer"][part]
    assert first["trainer"]["devices"] == 2
    assert second["trainer"]["strategy"]["timeout"]["process_timeout"] == 7
    assert (second["trainer"]["precision"], second["trainer"]["max_epochs"]) == ("32-true", 2)
    assert second["trainer"]["limit_train_batches"] is None
    assert stages("data_dir=/sets")[1]["data"]["root"] == "/sets/biased_scenes"
    assert [stage["trainer"]["limit_train_batches"] for stage in stages("trainer=debug")] == [2, 2]
    with pytest.raises(ValueError, match="then_with: expected the processes of the first run .*devices=2.*devices=1"):
        stages("trainer=ddp_cpu", "then_with=['trainer=cpu']")


def test_settings_that_a_stage_does_not_have_are_named_and_a_variant_says_what_was_chosen_in_its_place(tmp_path):
    def resolved(*overrides):
        config = composed("train", *overrides, run_dir=tmp_path)
        with initialize_config_dir(config_dir(), version_base="1.3"):
            ((config,), messages) = resolve(config, list(overrides))
        return config["variant"], messages

    assert resolved("experiment=demo", "be.ratio=0.2") == ("be", [])
    assert resolved("experiment=demo", "be=inter") == ("be be=inter", [])
    assert resolved("experiment=demo", "host=moco")[0] == "be host=moco"
    assert resolved("experiment=demo", "contrastive.extra_negative=none", "contrastive.temperature=0.2")[1] == []
    (message,) = resolved("experiment=demo", "method=byol", "contrastive.key_momentum=0.9")[1]
    assert message == "contrastive.key_momentum: without effect, BYOL and CosineRegression don't read it"
    (message,) = resolved("experiment=demo", "method=flip", "be=none")[1]
    assert message.startswith("method=flip: nothing to learn of clips that are mirrored at random, augment.flip=0.5")
    assert resolved("experiment=biased_scenes", "variant=flip_be")[1] == []
    assert resolved("experiment=demo", "stage=finetune") == (None, [])  # whatever it starts from
    variant, (message,) = resolved("experiment=proof", "variant=labels", "be.ratio=0.2", "be=inter", "epochs=3")
    assert variant == "labels"
    assert message.startswith("be.ratio, be: without effect, settings of pretraining in a run of stage=finetune: ")
    assert resolved("experiment=proof", "variant=labels", "be@module.distractor=inter")[1] == []
    (message,) = resolved("experiment=proof_finetune", "variant=median_swap")[1]
    assert message.startswith("variant=median_swap: without effect, settings of pretraining in a run of stage=finetune")
    assert resolved("experiment=proof_finetune", "variant=random")[1] == []  # no epochs


@pytest.mark.parametrize(("epochs", "latest"), [(8, None), (7, 4)])
def test_epochs_that_are_not_validated_are_said_where_the_best_one_is_measured(epochs, latest, caplog):
    config = {"tasks": {"test": {}}, "callbacks": {"best": {}}}
    tbe.train._tell_of_unvalidated_end(
        config, SimpleNamespace(check_val_every_n_epoch=4, max_epochs=epochs, is_global_zero=True)
    )
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition("measure, ")[2] for text in said] == (
        [f"is of epoch {latest} at the latest"] if latest else []
    )


@pytest.mark.parametrize(
    ("batch_size", "processes", "accumulate", "advice"),
    [
        (8, 8, 1, None),
        (64, 1, 1, None),
        (8, 1, 8, None),
        (8, 1, 1, "accumulate=8 for as many, or lr_batch=8, with optimizer.lr=0.00375"),
        (4, 2, 2, "accumulate=8 for as many, or lr_batch=16, with optimizer.lr=0.0075"),
        (8, 16, 2, "lr_batch=256, with optimizer.lr=0.12"),
        (8, 16, 1, "lr_batch=128, with optimizer.lr=0.06"),
        (7, 8, 1, "lr_batch=56, with optimizer.lr=0.0262"),
    ],
)
def test_a_rate_for_another_number_of_videos_a_step_is_said(batch_size, processes, accumulate, advice, caplog):
    config = {"run_name": "net", "batch_size": batch_size, "lr_batch": 64, "optimizer": {"lr": 0.03}, "resume": None}
    trainer = SimpleNamespace(
        world_size=processes, accumulate_grad_batches=accumulate, max_epochs=1, is_global_zero=True
    )
    tbe.train._tell_of_another_batch(config, trainer)
    told = [record.getMessage() for record in caplog.records]
    got = batch_size * processes * accumulate
    text = (
        f"net: optimizer.lr is for 64 videos a step (lr_batch), got {got} (batch_size={batch_size}, processes: "
        f"{processes}, accumulate={accumulate}). Set {advice} in place of 0.03 (in proportion), or as it is where it "
        "is meant for these"
    )
    assert told == ([text] if advice else [])
    silent = [{"lr_batch": None}, {"lr_batch": got}, {"resume": "last.ckpt"}]
    silent += [{"optimizer": {"lr": 0.03 * got / 64}, "lr_batch": got}]  # as advised
    for settings in silent:
        caplog.clear()
        tbe.train._tell_of_another_batch(config | settings, trainer)
        assert not caplog.records
    trainer.is_global_zero = False
    tbe.train._tell_of_another_batch(config, trainer)
    assert not caplog.records


def test_data_that_is_chosen_for_the_first_of_two_runs_alone_is_named(tmp_path):
    def messages(*overrides):
        overrides = ("experiment=proof", "then=proof_finetune", *overrides)
        config = composed("train", *overrides, run_dir=tmp_path)
        with initialize_config_dir(config_dir(), version_base="1.3"):
            return resolve(config, list(overrides))[1]

    (message,) = messages("data.bias=0.5", "epochs=3")
    assert message.startswith("data.bias: of the first run alone, not of then=proof_finetune")
    assert messages("data.bias=0.5", "then_with=['data.bias=0.5']") == messages("data.bias=0.9") == []
    assert messages("data=ucf101", "data.root=/videos") == []
    (message,) = messages("augment@eval_augment=none", "evaluation.clips=10")
    assert message.startswith("eval_augment, evaluation.clips: of the first run alone, not of then=proof_finetune")
    message, measured = messages("+augment.mean=[0.5,0.5,0.5]")
    assert measured.startswith("augment: mean and std are ([0.5, 0.5, 0.5]")
    assert "last.ckpt: was trained on colors of mean and std ([0.5, 0.5, 0.5], [0.22803, 0.22145, 0.216989])" in message


def test_the_objective_of_a_sweep_is_returned(tmp_path):
    config = composed("train", *SMALL, "trainer=cpu", "epochs=1", "objective=val/knn_top1", run_dir=tmp_path)
    assert 0 <= tbe.train.run(tbe.train.prepare(config, [])) <= 100


def test_the_objective_of_the_first_of_two_runs_is_not_lost(monkeypatch, tmp_path):
    stages = [Stage({"name": name}, tmp_path / name, done=False) for name in ("first", "second")]
    for found, expected in (([3.0, None], 3.0), ([3.0, 5.0], 5.0), ([None, None], None)):
        left = list(found)
        monkeypatch.setattr(tbe.train, "train", lambda config, left=left: left.pop(0))
        assert tbe.train.run(stages) == expected
    monkeypatch.setattr(tbe.train, "train", lambda config: 3.0)
    stages[1] = Stage({"objective": None}, tmp_path, done=True)
    (tmp_path / "metrics.json").write_text("{}")
    assert tbe.train.run(stages) == 3.0


def test_the_last_checkpoint_knows_the_best_one_of_its_own_epoch(train, monkeypatch):
    monkeypatch.setattr(ModelCheckpoint, "check_monitor_top_k", lambda *arguments: True)  # each epoch is the best one
    run = train("epochs=3", "validate_every=1", "logger=csv")
    with (run / "metrics.csv").open(newline="") as file:
        scores = [float(row["val/knn_top1"]) for row in csv.DictReader(file) if row.get("val/knn_top1")]
    (best,) = [state for key, state in weights(run)["callbacks"].items() if "knn_top1" in key]
    assert len(scores) == 3
    assert scores[2] != scores[1]
    assert best["current_score"].item() == pytest.approx(scores[2])


def test_a_moved_run_goes_on_with_the_best_score_that_it_had(train, tmp_path):
    run = train("epochs=1", "validate_every=1")
    moved = run.rename(tmp_path / "moved")
    stored = weights(moved)
    best = next(key for key in stored["callbacks"] if "knn_top1" in key)
    stored["callbacks"][best]["best_model_score"] = torch.tensor(1000.0)
    stored["callbacks"][best]["best_k_models"] = {str(run / "checkpoints" / "best.ckpt"): torch.tensor(1000.0)}
    stored["callbacks"][best]["kth_value"] = torch.tensor(1000.0)
    torch.save(stored, moved / "checkpoints" / "last.ckpt")
    before = (moved / "checkpoints" / "best.ckpt").read_bytes()
    config = composed(
        *("train", *SMALL, *NARROW, "trainer=cpu", "epochs=2", "validate_every=1", "logger=csv"),
        f"resume={moved}",
        run_dir=moved,
    )
    tbe.train.run(tbe.train.prepare(config, ["epochs=2", "validate_every=1"]))
    assert weights(moved)["epoch"] == 1
    assert (moved / "checkpoints" / "best.ckpt").read_bytes() == before  # nothing was better


def test_latest_weights_to_start_from_are_those_of_pretraining(train, tmp_path, caplog, monkeypatch):
    first = train("epochs=0", folder="a")
    train("stage=finetune", "epochs=0", f"init_from={first}", folder="b")
    config = composed("train", "stage=finetune", "init_from=latest", run_dir=tmp_path / "c")
    config.runs = str(first.parent)
    with initialize_config_dir(config_dir(), version_base="1.3"), caplog.at_level("INFO"):
        (stage,) = resolve(config, ["init_from=latest"])[0]
    assert stage["init_from"] == str(first / "checkpoints" / "last.ckpt")
    assert f"init_from=latest: {first}/checkpoints/last.ckpt, of the newest run of stage=pretrain" in caplog.text


def test_a_stopped_run_of_other_settings_is_not_gone_on_with_unasked(train):
    run = train("be.ratio=0.3")
    (run / "metrics.json").unlink()

    def repeated(**changes):
        config = yaml.safe_load((run / "config.yaml").read_text())
        for key, value in changes.items():
            part, _, name = key.partition("__")
            (config[part] if name else config)[name or part] = value
        return _continue(config, [f"{key.replace('__', '.')}={value}" for key, value in changes.items()])

    with pytest.raises(
        UserError, match=r"expected no run that was stopped there, or the same one.*be.ratio 0.3 -> 0.2"
    ):
        repeated(be__ratio=0.2)
    assert repeated().config["resume"] == repeated(epochs=7).config["resume"] == str(run / "checkpoints" / "last.ckpt")


def test_colors_and_clips_that_differ_from_what_they_are_known_by_are_told(tmp_path):
    def resolved(*overrides):
        config = composed("train", *overrides, run_dir=tmp_path)
        with initialize_config_dir(config_dir(), version_base="1.3"):
            return resolve(config, list(overrides))[1]

    (message,) = resolved("stage=finetune", "+augment.mean=[0.5,0.5,0.5]")
    assert message.startswith(
        "augment: mean and std are ([0.5, 0.5, 0.5], [0.22803, 0.22145, 0.216989]), those of eval"
    )
    assert resolved("stage=finetune", "+augment.mean=[0.5,0.5,0.5]", "+eval_augment.mean=[0.5,0.5,0.5]") == []
    for override, named in (
        ("datamodule.batch_size=4", "batch_size"),
        ("datamodule.seed=7", "seed"),
        ("datamodule.train_clips.stride=9", "clip.stride"),
        ("datamodule.eval_clips.num_frames=9", "clip.num_frames"),
    ):
        with pytest.raises(UserError, match=rf"train: expected {override.split('=')[0]} to be what {named} says"):
            resolved(override)


@pytest.mark.parametrize(
    "settings",
    [
        ["precision=bf16-mixed"],
        ["performance.channels_last=false"],
        ["method.encoder.mlp=true"],
        ["method.negative=none"],
        ["method.negative=other_video"],
        ["loss=nce"],
        ["method=simclr", "loss=nce", "method.negative=none"],
        ["batch_norm=none"],
        ["scheduler=multistep"],
        ["optimizer=sgd"],
        ["be.prob=0.5"],
        ["be=noise"],
        ["be=inter"],
        ["be.per=batch"],
        ["module.distractor_views=both"],
        ["logger=csv"],
        ["augment=original"],
        ["datamodule.eval_clips.num_clips=2", "datamodule.val_limit=4"],
    ],
)
def test_the_options_of_pretraining_run(train, settings):
    assert (train(*settings, "trainer.limit_train_batches=1") / "metrics.json").exists()


def test_wandb_logs_offline_a_resumed_run_as_the_same_and_another_as_another_and_the_table_is_kept(
    train, monkeypatch, tmp_path
):
    monkeypatch.setenv("WANDB_SILENT", "true")
    # Half of the time: the list of what is installed, and inputs of jobs, which nobody uses here.
    monkeypatch.setenv("WANDB_X_SAVE_REQUIREMENTS", "false")
    monkeypatch.setattr("wandb.sdk.wandb_run.Run._detect_and_apply_job_inputs", lambda run: None)
    settings = ["logger=wandb", "trainer.log_every_n_steps=1", "trainer.limit_train_batches=1"]
    other = train(*settings, folder="first").rename(tmp_path / "moved")
    first = train(*settings, folder="first")  # another run, in the folder that the other one had
    train(*settings, "epochs=2", f"resume={other}", folder=other)
    kept = [list(run.glob("wandb/offline-run-*/run-*.wandb")) for run in (other, first)]
    assert [len(files) for files in kept] == [2, 1]
    ids = [{file.stem.removeprefix("run-") for file in files} for files in kept]
    assert [len(known) for known in ids] == [1, 1]
    assert ids[0] != ids[1]
    assert [len(curve(run)) for run in (other, first)] == [2, 1]


def test_the_debug_trainer_runs_two_batches(train):
    run = train("trainer=debug")
    assert weights(run)["global_step"] == 2


def test_a_missing_data_set_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.delenv("UCF101_ROOT", raising=False)
    with pytest.raises(FileNotFoundError, match="data=ucf101.*data.root=<folder>.*UCF101_ROOT.*your-own-data"):
        run_command(tbe.train, "train", ["experiment=ucf101_be", "backbone=tiny", "trainer=cpu"], tmp_path / "run")


def test_resuming_what_is_not_there_is_refused(train):
    with pytest.raises(FileNotFoundError, match="checkpoint=latest: expected a run"):
        train("resume=latest")


@pytest.mark.parametrize("be", ["none", "original", "merge"])
@pytest.mark.parametrize(
    ("method", "loss"),
    [
        ("triplet", "triplet"),
        ("moco method.negative=none", "infonce"),
        ("simclr", "infonce"),
        ("byol", "cosine"),
        ("vicreg method.encoder.hidden=16", "vicreg"),
        ("lejepa method.another_clip=true method.encoder.hidden=16", "lejepa"),
        ("rotation", "cross_entropy"),
        ("flip", "cross_entropy"),
        ("arrow_of_time", "cross_entropy"),
        ("pace", "cross_entropy"),
        ("videomae", "mse"),
        ("vjepa method.target=seen", "l1"),
    ],
)
def test_every_method_trains_with_and_without_be_on_the_clips_that_it_reads(train, method, loss, be, monkeypatch):
    seen = []

    def seeing(self, batch):
        seen.append((batch["clips"].shape[1], *self.views))
        return made(self, batch)

    made = ContrastiveViews.forward
    monkeypatch.setattr(ContrastiveViews, "forward", seeing)
    run = train(*f"method={method}".split(), f"loss={loss}", f"be={be}", "trainer.limit_train_batches=2")
    two, one = (2, "query", "key", "negative"), (1, "query", "key")
    expected = {"triplet": two, "simclr": two, "moco": one, "byol": one, "vicreg": one, "lejepa": two}
    assert set(seen) == {expected.get(method.split()[0], (1, "query"))}
    assert weights(run)["global_step"] == 2
    assert "val/knn_top1" in json.loads((run / "metrics.json").read_text())


@pytest.mark.parametrize("consistency", ["mse", "temporal_inversion"])
@pytest.mark.parametrize(("method", "loss"), [("moco", "infonce"), ("rotation", "cross_entropy")])
def test_consistency_regularizes_any_method(train, method, loss, consistency):
    options = [f"method={method}", f"loss={loss}", "trainer.limit_train_batches=2"]
    metrics = json.loads((train(*options, f"consistency={consistency}") / "metrics.json").read_text())
    assert metrics["train/consistency"] > 0
    undistracted = train(*options, f"consistency={consistency}", "be=none", "consistency.temporal_inversion=false")
    # Batch norm is the same for both, so without a distractor there is nothing to be consistent about.
    assert json.loads((undistracted / "metrics.json").read_text())["train/consistency"] == 0
