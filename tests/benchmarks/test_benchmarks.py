"""Benchmarks run, on tiny sizes, and say what they measure."""

import ast
import importlib
import json
import re
import sys
from functools import partial

import pytest
import torch
import torch.multiprocessing as mp

from tbe.prepare.common import work
from tests.conftest import ROOT
from tests.prepare.composites import in_this_process

FOLDER = ROOT / "benchmarks"
FILES = sorted(file for file in FOLDER.rglob("*.py") if file.stem != "__init__")
FOUND = {"what": "one / other", "setting": "here", "ratio": 2.0, "least": 1.0, "largest": 3.0, "bar": None}


def harness():
    return importlib.import_module("benchmarks.common.harness")


def quickly(monkeypatch, name):
    """A benchmark, without what takes seconds and is tested elsewhere."""
    module = importlib.import_module(f"benchmarks.speed.{name}")
    if name == "compile":
        monkeypatch.setattr(module, "accelerate", lambda backbone, device, **switches: None)
    if name == "loader":
        monkeypatch.setattr(module.os, "cpu_count", lambda: 1)
    if name == "long_lists":
        monkeypatch.setattr(module, "_cost", lambda file: (10.0, module.read(str(file)) or 1.0))
    if name == "long_joins":
        monkeypatch.setattr(module, "_cost", lambda *joined: (10.0, module.join(module.arguments_of(*joined)) or 1.0))
    if name == "memory":
        monkeypatch.setattr(module, "readers", dict)  # reader=auto alone
    if name == "audit":
        monkeypatch.setattr(module, "_peak", lambda way, **sizes: 2.0 if way == "audit" else 1.0)
    if name == "retrieval":
        monkeypatch.setattr(module, "peak_memory", lambda *sizes: harness().Finding(**FOUND))
    if name == "scaling":  # a server to fork from would import everything again
        forked = partial(mp.start_processes, start_method="fork")
        monkeypatch.setattr(module.mp, "start_processes", lambda *given, nprocs, **_: forked(*given, nprocs=nprocs))
    if name == "shards":
        monkeypatch.setattr(work, "call_in_processes", in_this_process)
    if name == "startup":
        commands = {"train.py --help": "import time; time.sleep(0.2)", "eval.py --help": "", "import torch": ""}
        monkeypatch.setattr(module, "COMMANDS", {command: ["-SEc", body] for command, body in commands.items()})
    return module


@pytest.mark.parametrize(
    "name",
    [
        *(
            "audit",
            "augment",
            "compile",
            "erasing",
            "hosts",
            "input_pipeline",
            "lists",
            "loader",
            "long_joins",
            "long_lists",
            "memory",
            "readers",
        ),
        *("retrieval", "scaling", "shards", "startup", "step"),
    ],
)
def test_a_quick_measurement_finds_ratios(name, monkeypatch):
    quickly(monkeypatch, name)
    found, text = harness().parted(importlib.import_module(f"benchmarks.speed.{name}").measure("cpu", quick=True))
    assert found
    for row in found:
        assert 0 < row.least <= row.ratio <= row.largest
        assert row.holds in (None, True, False)
    assert harness().markdown(found).count("\n") == len(found) + 2
    assert ("|" in text) is (name in ("step", "scaling"))


def test_each_backbone_has_a_family_that_is_compiled():
    families = importlib.import_module("benchmarks.speed.compile").FAMILIES
    named = [leaf for family in families for leaf in family.leaves]
    assert sorted(named) == sorted(path.stem for path in (ROOT / "configs" / "backbone").glob("[!_]*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_benchmark_says_in_one_line_what_it_measures_and_how_it_is_run(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    measures = any(isinstance(node, ast.FunctionDef) and node.name == "measure" for node in tree.body)
    first = (ast.get_docstring(tree) or "").split("\n\n")[0]
    assert first.endswith(".")
    assert f": `python -m benchmarks.{file.parent.name}.{file.stem}`." in first or not measures


def parts_of_a_gpu(monkeypatch, **bodies):
    """Parts that are these lines of Python, each a process of its own that can `found(...)` something."""
    gpu = importlib.import_module("benchmarks.speed.gpu")
    start = "import json, sys, time; found = lambda row: print(json.dumps(row), file=open(sys.argv[1], 'a'))\n"
    monkeypatch.setattr(gpu.harness, "machine", lambda device: {"device": device})
    monkeypatch.setattr(gpu, "TASKS", {name: gpu.Task("erasing", 1) for name in bodies})
    monkeypatch.setattr(
        gpu,
        "command_of",
        lambda name, device, quick, file: [sys.executable, "-S", "-c", start + bodies[name], str(file)],
    )
    return gpu


def test_on_a_gpu_a_part_that_fails_or_hangs_loses_nothing_and_the_next_one_begins(monkeypatch, capsys, tmp_path):
    gpu = parts_of_a_gpu(
        monkeypatch,
        broken=f"found({FOUND!r})\nraise MemoryError",
        hanging=f"found({FOUND!r})\nfound('a table')\ntime.sleep(60)",
        whole=f"found({FOUND!r})",
    )
    assert gpu.measure("cuda", quick=True, seconds=60, file=tmp_path / "RESULTS.md") == 3
    printed = capsys.readouterr().out
    assert "broken: ended with exit code 1" in printed
    assert "hanging: ended after its 1 seconds" in printed
    parts = importlib.import_module("benchmarks.speed.run").read(tmp_path / "RESULTS.json")
    names = [f"{name} on a GPU" for name in ("broken", "hanging", "whole")]
    assert [parts[name].findings for name in names] == [[harness().Finding(**FOUND)]] * 3
    assert parts["hanging on a GPU"].text == "a table"
    assert parts["gpu on a GPU"].findings[0].bar == "<= 480"
    assert "erasing" in parts  # what was measured on a CPU stays


def test_on_a_gpu_no_part_begins_when_the_time_is_spent(monkeypatch, capsys, tmp_path):
    gpu = parts_of_a_gpu(monkeypatch, first="pass", second="pass")
    now = iter([0, 0, 15, 45])
    monkeypatch.setattr(gpu.time, "monotonic", lambda: next(now))
    assert gpu.measure("cuda", quick=True, seconds=60, file=tmp_path / "RESULTS.md") == 0
    assert "second: left out, 45 of 60 seconds are spent" in capsys.readouterr().out


def test_on_a_gpu_nothing_found_is_a_failure(monkeypatch):
    gpu = parts_of_a_gpu(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu"])
    with pytest.raises(SystemExit, match="expected a finding at least, got none"):
        gpu.main()


def test_the_parts_of_a_gpu_are_measured_with_their_settings(monkeypatch, tmp_path):
    gpu = importlib.import_module("benchmarks.speed.gpu")
    monkeypatch.setattr(gpu, "TASKS", {"erasing: tiny": gpu.Task("erasing", 1, {"names": ["tiny"], "rounds": 1})})
    erasing, finding = importlib.import_module("benchmarks.speed.erasing"), harness().Finding(**FOUND)
    asked = []
    monkeypatch.setattr(
        erasing, "measure", lambda *given, **settings: asked.append((given, settings)) or [finding, "text"]
    )
    gpu.write_found("erasing: tiny", "cpu", False, tmp_path / "found")
    assert asked == [(("cpu", False), {"names": ["tiny"], "rounds": 1})]
    assert [json.loads(line) for line in (tmp_path / "found").read_text().splitlines()] == [FOUND, "text"]


def test_parts_that_are_not_measured_again_are_kept(tmp_path):
    run, finding = importlib.import_module("benchmarks.speed.run"), harness().Finding
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


def test_the_pages_say_what_was_measured():
    speed, faults = (importlib.import_module(f"benchmarks.{name}") for name in ("speed.run", "faults.report"))
    page = speed.FILE.read_text(encoding="utf-8")
    for name, part in speed.read(speed.FILE.with_suffix(".json")).items():
        assert harness().page([*part.findings, *([part.text] if part.text else [])]) in page, name
    page = FOLDER / "FAULTS.md"
    assert faults.markdown(faults.read(page)) in page.read_text(encoding="utf-8")


def test_gpu_and_cpu_results_are_kept_side_by_side(tmp_path):
    run, row = importlib.import_module("benchmarks.speed.run"), harness().Finding(**FOUND)
    parts = {
        run.key(name, device): run.Part(f"{name} {device}", {}, [row], "a text")
        for device in ("cuda", "cpu")
        for name in ("scaling", "step: I3D", "step", "gpu")
    }
    run.write(parts, tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        *("gpu", "gpu on a GPU"),
        *("step", "step on a GPU", "step: I3D", "step: I3D on a GPU"),
        *("scaling", "scaling on a GPU"),
    ]
    assert text.endswith("|  |  |\n\na text")
    assert "(DID_NOT_PAY.md)" in text
    assert (FOLDER / "DID_NOT_PAY.md").exists()


def test_faults_of_files_are_counted(tmp_path):
    checkpoints, videos = (importlib.import_module(f"benchmarks.faults.{name}") for name in ("checkpoints", "videos"))
    last = tmp_path / "checkpoints" / "last.ckpt"
    for epoch in range(2):
        checkpoints.AtomicCheckpoints().save_checkpoint({"epoch": epoch, "weights": torch.rand(1000)}, last)
    rows = [checkpoints.killed_while_writing(1), checkpoints.torn(5, tmp_path), checkpoints.changed(20, tmp_path)]
    rows += [videos.spoiled_videos(6, story) for story in videos.SPOILED] + [videos.spoiled_lists(10)]
    assert [row.trials for row in rows] == [1, 5, 20] + [6] * 5 + [10]
    assert "whole in 1;" in rows[0].happened
    assert "found in 5:" in rows[1].happened
    assert all("0 unaccounted for; 0 crashed a worker, 0 hung" in row.happened for row in rows[3:8])
    assert not any("**" in row.lost for row in rows)


def test_a_file_that_could_not_be_told_from_a_whole_one_is_counted_as_lost(tmp_path, monkeypatch):
    checkpoints = importlib.import_module("benchmarks.faults.checkpoints")
    last = tmp_path / "checkpoints" / "last.ckpt"
    for epoch in range(2):
        checkpoints.AtomicCheckpoints().save_checkpoint({"weights": torch.full((9,), float(epoch))}, last)
    monkeypatch.setattr(checkpoints, "latest_intact", lambda path: path.with_name("last.ckpt.previous").rename(path))
    monkeypatch.setattr(checkpoints, "truncated", lambda content, chance: content)
    assert checkpoints.torn(1, tmp_path).lost == "**1 times other weights**"


def test_a_reader_at_fault_costs_its_video():
    row = importlib.import_module("benchmarks.faults.videos").reader_at_fault(1, "hangs")
    assert '1 ("it took longer than 1 s"); 11 of 11 other videos came' in row.happened
    assert row.lost == "one video"


def test_malicious_input_is_refused_and_counted():
    given = importlib.import_module("benchmarks.faults.untrusted_input")
    rows = [given.refused_targets(60), given.refused_pickles(12), given.fenced_lists(100)]
    # Which names are drawn depends on the versions installed: a network or reader among them is rightly let through.
    refused, let_through = map(
        int, re.match(r"(\d+) refused with one error, (\d+) let through", rows[0].happened).groups()
    )
    assert refused + let_through == 60
    assert refused >= 55
    assert rows[1].happened == "12 refused with one error that names the file, 0 ran"
    assert rows[2].happened.endswith(" 0 leave it")
    assert {row.lost for row in rows} == {"nothing"}


def test_accepted_malicious_input_counts_as_lost(monkeypatch):
    given = importlib.import_module("benchmarks.faults.untrusted_input")
    monkeypatch.setattr(given, "fence", lambda records, where: records)
    assert given.fenced_lists(100).lost.endswith(" read**")
    monkeypatch.setattr(given.checkpoints, "read", lambda path: torch.load(path, weights_only=False))
    row = given.refused_pickles(6)
    assert row.happened.endswith(" 6 ran")
    assert row.lost == "**6 not refused**"
    assert given.refused_targets(40).lost.endswith(" others**")


def test_a_run_is_as_the_whole_one_when_weights_and_curves_are(tmp_path):
    small = importlib.import_module("benchmarks.faults.small_runs")
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


def test_the_table_of_faults_says_where_each_row_was_counted(tmp_path):
    outcomes, page = importlib.import_module("benchmarks.faults.report"), tmp_path / "FAULTS.md"
    rows = [outcomes.Outcome("a run is killed", 1200, "it went on", "nothing"), outcomes.Outcome("b", 1, "c", "d")]
    outcomes.write(rows, {"cores": 2, "gpu": None}, page)
    outcomes.write([rows[1]._replace(trials=3)], {"cores": 8}, page)
    text = page.read_text()
    assert "| a run is killed | 1,200 | it went on | nothing | A |\n| b | 3 | c | d | B |\n" in text
    assert text.endswith("- A: cores 2\n- B: cores 8\n")
    assert [row.trials for row in outcomes.read(page)] == [1200, 3]


def test_ways_take_turns_after_they_have_warmed_up():
    calls = []
    times = harness().in_turn({name: lambda name=name: calls.append(name) for name in "abc"}, rounds=4)
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab" + "abc"  # none always follows the same one
    assert {name: len(found) for name, found in times.items()} == {"a": 4, "b": 4, "c": 4}


def test_no_round_begins_when_the_time_is_spent(monkeypatch):
    now = iter(range(0, 1000, 5))
    monkeypatch.setattr(harness().time, "perf_counter", lambda: next(now))
    clock = harness().time.perf_counter
    times = harness().in_turn({"a": int, "b": int}, rounds=9, warm_up=0, seconds=60, clock=clock)
    assert times == {"a": [5] * 3, "b": [5] * 3}
    assert harness().in_turn({"a": int}, rounds=9, warm_up=5, seconds=1, clock=clock) == {"a": [5]}  # one in any case


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
    step_bytes = importlib.import_module("benchmarks.speed.scaling").step_bytes
    few, many = (step_bytes(processes, parameters=100, batch=8, clip=50, dim=4) for processes in (2, 64))
    assert few == {"gradients": 400, "shuffled views": 800, "gathered keys": 256}
    assert many["gradients"] < 2 * few["gradients"]
    assert many["shuffled views"] < 2 * few["shuffled views"]
    assert sum(step_bytes(1, 100, 8, 50).values()) == 0


def test_where_a_profiler_finds_no_times_that_is_said(monkeypatch):
    module = importlib.import_module("benchmarks.speed.op_breakdown")
    monkeypatch.setattr(module, "milliseconds", lambda step, device: module.Counter({"other": 0.0}))
    assert module.where_time_goes(None, None, "cuda").startswith("The profiler found no times on the device")


def test_on_a_gpu_the_first_finding_comes_before_the_other_ways_have_warmed_up(monkeypatch):
    step = importlib.import_module("benchmarks.speed.step")
    built, in_turn = [], step.in_turn

    class Way:
        def __init__(self, case, device, *switches, **settings):
            built.append(self)

        def __call__(self): ...

    monkeypatch.setattr(step, "OurStep", Way)
    monkeypatch.setattr(step, "OriginalStep", Way)
    monkeypatch.setattr(step, "in_turn", lambda ways, *settings: in_turn(ways, 1))
    first = next(step.of_case("tiny", step.QUICK, "cuda", 1))
    assert first.what == "original / + fused"
    assert len(built) == 2
