"""What a sweep ends with. That real sweeps end so is tested in test_cli.py."""

import json

import pytest
import yaml
from omegaconf import OmegaConf

from tbe.launch.hydra_callbacks import SweepSummary


@pytest.fixture
def swept(tmp_path):
    """The config of a sweep, whose folder has two variants with two seeds."""
    for number, (variant, seed, value) in enumerate(
        [("moco", 1, 10.0), ("moco", 2, 11.0), ("be", 1, 50.0), ("be", 2, 51.0)]
    ):
        run = tmp_path / str(number)
        (run / ".hydra").mkdir(parents=True)
        (run / ".hydra" / "overrides.yaml").write_text(
            yaml.safe_dump([f"variant={variant}", f"seed={seed}", "epochs=3"])
        )
        content = {"R@1": value, "loss": 1.0, "protocol": {"name": "proof", "seed": seed}}
        (run / "metrics.json").write_text(json.dumps(content))
    return OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})


def test_all_numbers_are_in_the_table_of_a_sweep(swept, tmp_path, capsys):
    SweepSummary().on_multirun_end(swept)
    rows = (tmp_path / "sweep.csv").read_text().splitlines()
    assert rows[:2] == ["run,R@1,loss", "0: variant=moco seed=1,10.0,1.0"]
    assert "3: variant=be seed=2" in capsys.readouterr().out
    assert not (tmp_path / "table.md").exists()


def test_chosen_metrics_are_compared_over_the_seeds(swept, tmp_path, capsys):
    SweepSummary(metrics=["R@1"], against="moco").on_multirun_end(swept)
    printed = capsys.readouterr().out
    assert "| be | 1, 2 | **50.5 ± 6.4** |" in printed
    assert printed.rstrip().endswith(f"run: {tmp_path}")
    assert json.loads((tmp_path / "runs.json").read_text())["against"] == "moco"
    assert len((tmp_path / "sweep.csv").read_text().splitlines()) == 5


def test_a_failed_run_is_shown_and_nothing_compared(swept, tmp_path, capsys):
    (tmp_path / "2" / "metrics.json").unlink()
    SweepSummary(metrics=["R@1"]).on_multirun_end(swept)
    assert "failed" in capsys.readouterr().out
    assert not (tmp_path / "table.md").exists()


def test_a_metric_that_no_run_has_is_said_and_the_table_shown(swept, tmp_path, capsys):
    SweepSummary(metrics=["mAP"]).on_multirun_end(swept)
    printed = capsys.readouterr().out
    assert "expected the metric mAP of every run, seed 1 of proof has: R@1, loss" in printed
    assert "3: variant=be seed=2" in printed


def test_a_part_of_a_sweep_without_the_variant_to_compare_with_has_its_table(swept, tmp_path, capsys):
    SweepSummary(metrics=["R@1"], against="inter").on_multirun_end(swept)
    assert "not compared with inter: expected the variant to compare against" in capsys.readouterr().out
    assert "| be | 1, 2 | 50.5 ± 6.4 |" in (tmp_path / "table.md").read_text()
