"""The commands of the README and of the documentation, as a user types them."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

import tbe.train
from tbe.launch.cli import quote_list_option
from tbe.reporting.comparison.runs import NOT_SETTINGS
from tests.conftest import NARROW, ROOT, SMALL, command_line, once, run_command, started

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
TINY = [*SMALL, *NARROW, "epochs=1", "trainer=cpu"]
FEW = ["data.num_train=8", "data.num_val=4", "data.num_test=8", "batch_size=4"]


def succeeded(*arguments, **settings):
    done = command_line(*arguments, **settings)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def last_line(done):
    return done.stdout.strip().splitlines()[-1]


def test_training_then_evaluating_from_another_folder(tmp_path):
    # As a shell starts it, from the first import to the end of Python: the other tests' programs are forked.
    command = [sys.executable, ROOT / "train.py", *TINY]
    trained = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert trained.returncode == 0, trained.stderr[-4000:]
    folder = last_line(trained).removeprefix("run: ")
    assert folder.startswith(str(tmp_path / "runs" / "demo"))
    measured = succeeded(ROOT / "eval.py", "task=retrieval", "clips=1", "datamodule.num_workers=0", cwd=tmp_path)
    assert f"checkpoint=latest: {folder}/checkpoints/last.ckpt" in measured.stdout
    metrics = json.loads(Path(last_line(measured).removeprefix("run: "), "metrics.json").read_text())
    assert "retrieval/R@1" in metrics


def test_a_sweep_ends_with_a_table_and_survives_a_failure(tmp_path):
    done = succeeded("train.py", "-m", "be.ratio=0.1,0.5,7", *TINY, f"hydra.sweep.dir={tmp_path}/sweep")
    assert last_line(done) == f"run: {tmp_path}/sweep"
    table = (tmp_path / "sweep" / "sweep.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["run", "0: be.ratio=0.1", "1: be.ratio=0.5", "2: be.ratio=7"]
    assert "be.ratio: expected a number from 0 to 1, got 7" in done.stdout
    assert all(f"{number}: be.ratio=" in done.stdout for number in range(3))


def test_a_sweep_over_config_groups(tmp_path):
    done = succeeded(
        "train.py",
        "-m",
        "be=none,original",
        "method=moco,simclr",
        *TINY,
        "trainer=debug",
        f"hydra.sweep.dir={tmp_path}/sweep",
    )
    assert len(list((tmp_path / "sweep").glob("*/metrics.json"))) == 4
    assert "3: be=original method=simclr" in done.stdout


def test_a_sweep_can_be_chosen_by_name(tmp_path):
    done = succeeded("train.py", "sweep=be_prob", *TINY, "trainer=debug", f"hydra.sweep.dir={tmp_path}/sweep")
    table = (tmp_path / "sweep" / "sweep.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table][1:] == [
        f"{n}: be.prob={p}" for n, p in enumerate(("0", "0.25", "0.5", "0.75", "1"))
    ]
    assert "4: be.prob=1" in done.stdout


def test_a_named_sweep_goes_over_the_variants_and_seeds_that_it_is_told(tmp_path):
    told = ["variants=random,moco", "seeds=5", "trainer=debug", *TINY, "~hydra.sweeper.params.then"]
    done = succeeded("train.py", "sweep=proof", *told, "evaluation.splits=[]", f"hydra.sweep.dir={tmp_path}/sweep")
    assert "0: variant=random" in done.stdout
    assert "1: variant=moco" in done.stdout
    assert len(list((tmp_path / "sweep").glob("*/metrics.json"))) == 2
    assert quote_list_option("seeds=1") == "seeds=1"
    assert quote_list_option("seeds='1,2'") == "seeds='1,2'"
    assert quote_list_option("be.ratio=0.1,0.3") == "be.ratio=0.1,0.3"


def test_each_list_that_a_sweep_takes_stays_one_list_and_is_no_setting_of_its_runs():
    files = [yaml.safe_load(file.read_text()) for file in (ROOT / "configs" / "sweep").glob("*.yaml")]
    sweepers = [(config or {}).get("hydra", {}).get("sweeper", {}) for config in files]
    lists = {
        value[2:-1] for of_sweep in sweepers for value in of_sweep.get("params", {}).values() if str(value)[:2] == "${"
    }
    assert lists >= {"seeds", "variants", "values", "roots", "lists"}
    for name in lists:
        assert quote_list_option(f"{name}=/a,/b") == f"{name}='/a,/b'"
        assert name in NOT_SETTINGS


def test_a_repeated_sweep_does_what_is_not_done(tmp_path):
    sweep = tmp_path / "sweep"
    command = ["train.py", "-m", "seed=1,2", *TINY, "then=biased_scenes_finetune", f"then_with={TINY}"]
    command += [f"hydra.sweep.dir={sweep}"]
    succeeded(*command)
    first = (sweep / "0" / "metrics.json").stat().st_mtime_ns
    config = yaml.safe_load((sweep / "0" / "config.yaml").read_text())
    del config["lr_batch"], config["objective"]  # as of an earlier version, which did not have what is not set
    (sweep / "0" / "config.yaml").write_text(yaml.safe_dump(config))
    (sweep / "0" / "finetune" / "metrics.json").unlink()
    (sweep / "1" / "metrics.json").unlink()
    done = succeeded(*command)
    assert f"done before: {sweep}/0/metrics.json" in done.stdout
    assert (sweep / "0" / "metrics.json").stat().st_mtime_ns == first
    assert (sweep / "0" / "finetune" / "metrics.json").exists()
    resumed = yaml.safe_load((sweep / "1" / "config.yaml").read_text())["resume"]
    assert resumed == str(sweep / "1" / "checkpoints" / "last.ckpt")
    assert f"done before: {sweep}/1/finetune/metrics.json" in done.stdout
    other = succeeded(*command, "contrastive.queue_size=6")
    assert "expected no finished run or the same one, found one with other settings" in other.stdout
    numbers = (sweep / "sweep.csv").read_text()
    others = succeeded("train.py", "-m", "seed=5,6", *command[3:])
    assert others.stdout.count("found one with other settings") == 2
    assert (sweep / "sweep.csv").read_text() == numbers  # with the settings of the runs that are there
    assert numbers.splitlines()[1].startswith("0: seed=1,")


def test_a_sweep_with_two_runs_at_a_time_and_workers_of_their_own(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra 'parallel'")
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = succeeded(
        "train.py", "-m", "seed=1,2", *launcher, *TINY, "datamodule.num_workers=1", f"hydra.sweep.dir={tmp_path}/sweep"
    )
    assert len(list((tmp_path / "sweep").glob("*/metrics.json"))) == 2, done.stdout
    assert "1: seed=2" in done.stdout


def test_ctrl_c_leaves_a_checkpoint_to_continue_from(tmp_path):
    run = tmp_path / "run"
    process = started("train.py", *TINY, "epochs=200", "datamodule.num_workers=1", f"hydra.run.dir={run}")
    began = time.monotonic()
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert time.monotonic() - began < 120
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the loader's workers too
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.strip().splitlines()[-1] == f"run: {run}"
    begun = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] + 1
    resumed = succeeded("train.py", *TINY, f"epochs={begun}", f"resume={run}")
    assert "Restored all states" in resumed.stdout + resumed.stderr
    assert last_line(resumed) == f"run: {run}"


def test_a_missing_data_set_is_said_in_one_line():
    done = command_line("train.py", "experiment=ucf101_be", "backbone=tiny", "trainer=cpu", UCF101_ROOT="")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "data.root=<folder>" in errors[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("sweep", [["hydra.run.dir={}/run"], ["-m", "seed=1,2", "hydra.sweep.dir={}/sweep"]])
def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path, sweep):
    file = tmp_path / "file"
    file.touch()
    done = command_line("train.py", *(part.format(file) for part in sweep), *TINY)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: expected a folder that can be made and written to")
    assert "Traceback" not in done.stderr


def test_resuming_nothing_is_said_in_one_line(tmp_path):
    done = command_line("train.py", "resume=latest", cwd=ROOT, TBE_RUNS=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: checkpoint=latest: expected a run with")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_help_names_the_groups(script):
    text = succeeded(script, "--help").stdout
    assert "backbone: " in text
    assert "task: " in text


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_the_two_lines_of_python_run(page):
    code = next(block for block in re.findall(r"```python\n(.*?)```", TEXT[page], re.S) if "from tbe import" in block)
    scope = {}
    exec(code, scope)
    assert scope["loss"].requires_grad


def documented_commands():
    """Each `python train.py ...` and `python eval.py ...` of a bash block of any page, once: name and arguments."""
    blocks = "\n".join(block for text in TEXT.values() for block in re.findall(r"```bash\n(.*?)```", text, re.S))
    found = re.findall(r"^python (train|eval)\.py(.*?)(?:\s+#.*)?$", blocks, re.M)
    assert len(found) > 50
    commands = {(name, *shlex.split(rest.replace("<the same arguments>", ""))): None for name, rest in found}
    return [(name, arguments) for name, *arguments in commands]


def first_of_sweep(arguments):
    """The overrides of a command; of a sweep's values the first."""
    overrides = [part for part in arguments if not part.startswith(("-", "hydra"))]  # launchers may not be installed
    return [re.sub(r"=([\w./-]+),[\w.,/-]+$", r"=\1", part) for part in overrides]


def needs_nothing_else(arguments):
    """Whether a command runs with the embedded data set alone."""
    others = ("data.root", "weizmann", "runs/kinetics", "<")
    return "--help" not in arguments and not any(other in part for part in arguments for other in others)


def named(commands):
    return [pytest.param(name, arguments, id="_".join([name, *arguments])[:80]) for name, arguments in commands]


@pytest.fixture(scope="module")
def trained_runs(tmp_path_factory, data_dir):
    """Pretrained and finetuned runs for the commands that start from one."""

    def make(runs):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TBE_RUNS", str(runs))
            patch.setenv("TBE_DATA", str(data_dir))
            start = [*TINY, *FEW, "trainer.limit_train_batches=1"]
            run_command(
                tbe.train,
                "train",
                ["variant=moco_negative", "name=demo_moco_negative", *start],
                runs / "demo_moco_negative" / "first",
            )
            run_command(tbe.train, "train", start, runs / "demo" / "first")
            tuned = [*start, "stage=finetune", "init_from=latest"]
            run_command(tbe.train, "train", tuned, runs / "biased_scenes_finetune" / "first")

    return once(tmp_path_factory, "trained_runs", make)


def documented_runs():
    """The documented commands that need nothing else, each as it is run here, once."""
    commands = [(name, first_of_sweep(rest)) for name, rest in documented_commands() if needs_nothing_else(rest)]
    return {(name, *overrides): (name, overrides) for name, overrides in commands}.values()


@pytest.mark.parametrize(("name", "overrides"), named(documented_runs()))
def test_every_documented_command_runs(name, overrides, train, evaluate, trained_runs, tmp_path):
    """Those that need no data set of their own, with fewer and smaller videos."""
    shutil.copytree(trained_runs, tmp_path / "runs")
    if name == "train":
        overrides = [part for part in overrides if not part.startswith(("epochs=10", "batch_size"))]
        overrides += ["epochs=2"] if "resume=latest" in overrides else []
        overrides += [f"then_with={[*TINY, *FEW]}"] if "then=biased_scenes_finetune" in overrides else []
        run = train(*overrides, *FEW, "trainer.limit_train_batches=1")
    else:
        if any("few_shot" in part for part in overrides):  # there are 4 classes of 2 videos here
            few = ["tasks.few_shot.ways=2", "tasks.few_shot.queries=1", "tasks.few_shot.shots=[1]"]
            overrides = [*overrides, *few]
        run = evaluate(*(part.replace("runs/", f"{tmp_path}/runs/") for part in overrides))
    assert (run / "metrics.json").exists()
