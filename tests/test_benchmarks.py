"""Benchmarks run, on tiny sizes, and say what they measure."""

import ast
import importlib
import json

import pytest
import torch

from tests.conftest import ROOT

FOLDER = ROOT / "benchmarks"
FILES = sorted(FOLDER.glob("*.py"))


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


def harness():
    return importlib.import_module("harness")


@pytest.mark.parametrize("name", ["augment", "erasing", "step", "feeding", "memory", "scaling"])
def test_a_quick_measurement_finds_ratios(name):
    found = importlib.import_module(name).measure("cpu", quick=True)
    assert found
    for row in found:
        assert 0 < row.least <= row.ratio <= row.largest
        assert row.holds in (None, True, False)
    assert harness().markdown(found).count("\n") == len(found) + 2


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_benchmark_says_in_one_line_what_it_measures_and_how_it_is_run(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    measures = any(isinstance(node, ast.FunctionDef) and node.name == "measure" for node in tree.body)
    first = (ast.get_docstring(tree) or "").split("\n\n")[0]
    assert first.endswith(".")
    assert f": `python benchmarks/{file.name}`." in first or not measures


def test_on_a_gpu_what_cannot_run_is_left_out_with_its_reason(monkeypatch, capsys):
    gpu = importlib.import_module("gpu")

    class Missing:
        def measure(self, device, quick):
            raise ImportError("No module named 'nvdec'")

    finding = harness().Finding("one / other", "here", 2.0, 1.0, 3.0)

    class Present:
        def measure(self, device, quick):
            return [finding]

    parts = {"erasing": Present(), "step": Missing(), "feeding": Present(), "augment": Present()}
    monkeypatch.setattr(gpu.importlib, "import_module", parts.__getitem__)
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(gpu.time, "monotonic", lambda: next(now))
    assert gpu.measure("cpu", quick=True, seconds=60) == [finding, finding]
    printed = capsys.readouterr().out
    assert "step: left out, No module named 'nvdec'" in printed
    assert "augment: left out" in printed


def test_what_is_not_measured_again_stays(tmp_path):
    run, finding = importlib.import_module("run"), harness().Finding
    file = tmp_path / "RESULTS.md"
    assert run.read(file.with_suffix(".json")) == {}
    parts = {
        name: run.Part("What it is", {"cores": 2}, [finding("a / b", "here", 2.0, 1.0, 3.0, ">= 1")])
        for name in ("step", "lists")
    }
    run.write(parts, file)
    assert run.read(file.with_suffix(".json")) == parts
    assert "## lists\n\nWhat it is. On: cores 2.\n\n| measured" in file.read_text()
    assert file.read_text().index("## step") < file.read_text().index("## lists")  # in the order of the whole


def test_faults_of_files_are_counted(tmp_path):
    checkpoints, videos = (importlib.import_module(f"fault_{name}") for name in ("checkpoints", "videos"))
    last = tmp_path / "checkpoints" / "last.ckpt"
    for epoch in range(2):
        checkpoints.WholeCheckpoints().save_checkpoint({"epoch": epoch, "weights": torch.rand(1000)}, last)
    rows = [checkpoints.killed_while_writing(1), checkpoints.torn(5, tmp_path), checkpoints.changed(20, tmp_path)]
    rows += [videos.spoiled_videos(6, story) for story in videos.SPOILED] + [videos.spoiled_lists(10)]
    assert [row.trials for row in rows] == [1, 5, 20] + [6] * 5 + [10]
    assert "whole in 1;" in rows[0].happened
    assert "found in 5:" in rows[1].happened
    assert all("0 unaccounted for; 0 crashed a worker, 0 hung" in row.happened for row in rows[3:8])
    assert not any("**" in row.lost for row in rows)


def test_a_file_that_could_not_be_told_from_a_whole_one_is_counted_as_lost(tmp_path, monkeypatch):
    checkpoints = importlib.import_module("fault_checkpoints")
    last = tmp_path / "checkpoints" / "last.ckpt"
    for epoch in range(2):
        checkpoints.WholeCheckpoints().save_checkpoint({"weights": torch.full((9,), float(epoch))}, last)
    monkeypatch.setattr(checkpoints, "whole", lambda path: path.with_name("last.ckpt.previous").rename(path))
    monkeypatch.setattr(checkpoints, "truncated", lambda content, chance: content)
    assert checkpoints.torn(1, tmp_path).lost == "**1 times other weights**"


def test_a_reader_at_fault_costs_its_video():
    row = importlib.import_module("fault_videos").reader_at_fault(1, "hangs")
    assert '1 ("it took longer than 1 s"); 11 of 11 other videos came' in row.happened
    assert row.lost == "one video"


def test_a_run_is_as_the_whole_one_when_weights_and_curves_are(tmp_path):
    small = importlib.import_module("small_runs")
    runs = object.__new__(small.SmallRuns)
    runs.whole = tmp_path / "whole"
    content = {**dict.fromkeys(small.EXACT, 1), "state_dict": {"weight": torch.ones(3)}, "time": 1}
    for name, part in {"whole": {}, "same": {"time": 2}, "other": {"state_dict": {"weight": torch.zeros(3)}}}.items():
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        torch.save(content | part, tmp_path / name / small.LAST)
        (tmp_path / name / "metrics.csv").write_text("epoch,step,train/loss\n0,0,2.5\n")
    assert runs.is_as_whole(tmp_path / "same")
    assert not runs.is_as_whole(tmp_path / "other")
    (tmp_path / "same" / "metrics.csv").write_text("epoch,step,train/loss\n0,0,2.4\n")
    assert not runs.is_as_whole(tmp_path / "same")


def test_the_table_of_faults_says_where_it_was_counted(tmp_path):
    outcomes = importlib.import_module("outcomes")
    rows = [outcomes.Outcome("a run is killed", 1200, "it went on", "nothing")]
    outcomes.write(rows, {"cores": 2, "gpu": None}, 600.0, tmp_path / "FAULTS.md")
    text = (tmp_path / "FAULTS.md").read_text()
    assert "On: cores 2. In 10 minutes." in text
    assert text.endswith("| a run is killed | 1,200 | it went on | nothing |\n")
    assert json.loads((tmp_path / "FAULTS.json").read_text())["outcomes"][0]["trials"] == 1200


def test_ways_take_turns_after_they_have_warmed_up():
    calls = []
    times = harness().in_turn({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert {name: len(found) for name, found in times.items()} == {"a": 2, "b": 2}


def test_a_ratio_is_taken_round_by_round():
    found = harness().compare({"one": [2.0, 6.0, 8.0], "other": [1.0, 2.0, 8.0]}, "one", "other", "here", ">= 2")
    assert found[:5] == ("one / other", "here", 2.0, 1.0, 3.0)
    assert found.holds is True


@pytest.mark.parametrize(
    ("bar", "verdict", "cell"),
    [(None, None, "|  |  |"), (">= 1.5", True, "| >= 1.5 | holds |"), ("<= 1.5", False, "**missed**")],
)
def test_a_bar_holds_or_is_missed(bar, verdict, cell):
    found = harness().Finding("one / other", "here", 1.75, 1.0, 2.5, bar)
    assert found.holds is verdict
    row = harness().markdown([found]).splitlines()[-1]
    assert row.startswith("| one / other | here | 1.75 | 1.00 to 2.50 |")
    assert cell in row


def test_bytes_are_those_of_rings_and_do_not_grow_with_the_clips_of_other_processes():
    step_bytes = importlib.import_module("scaling").step_bytes
    few, many = (step_bytes(processes, parameters=100, batch=8, clip=50, dim=4) for processes in (2, 64))
    assert few == {"gradients": 400, "shuffled views": 800, "gathered keys": 256, "order": 64}
    assert many["gradients"] < 2 * few["gradients"]
    assert many["shuffled views"] < 2 * few["shuffled views"]
    assert sum(step_bytes(1, 100, 8, 50).values()) == 0
