import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.axes import Axes
from PIL import Image

from tbe.reporting.comparison.__main__ import main
from tbe.reporting.comparison.drawing import _limits
from tbe.reporting.comparison.runs import read_runs, read_sweeps, variants
from tbe.reporting.comparison.varied import varied_number


@pytest.fixture
def sweep(tmp_path):
    """sweep([(overrides, name, metrics, metrics of the run that followed), ...]) writes the folders of a sweep."""

    def write(rows, folder="sweep"):
        for number, (overrides, name, metrics, followed) in enumerate(rows):
            run = tmp_path / folder / str(number)
            (run / ".hydra").mkdir(parents=True)
            (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
            seed = next((int(part.split("=")[1]) for part in overrides if part.startswith("seed=")), 0)
            protocol = {"name": name, "seed": seed, "init_from": None, "resume": str(run / "checkpoints" / "last.ckpt")}
            (run / "metrics.json").write_text(json.dumps({**metrics, "protocol": protocol}))
            if followed:
                (run / "finetune").mkdir()
                (run / "finetune" / "metrics.json").write_text(json.dumps({**followed, "protocol": {}}))
        return str(tmp_path / folder)

    return write


@pytest.fixture
def two_variants(sweep):
    rows = []
    for name, values in {"moco": (20.0, 21.0, 22.0), "be": (50.0, 52.0, 54.0)}.items():
        for seed, value in enumerate(values):
            overrides = [f"experiment=proof/{name}", f"seed={seed}", "epochs=3"]
            rows.append((overrides, name, {"R@1/swap": value, "scene": 100 - value}, {"test/top1": value / 2}))
    return sweep(rows)


def test_variants_are_what_differs_but_in_the_seed(two_variants):
    runs = read_sweeps([two_variants])
    found = variants(runs)
    assert {name: [run.seed for run in of_variant] for name, of_variant in found.items()} == {
        "moco": [0, 1, 2],
        "be": [0, 1, 2],
    }
    assert found["be"][2].metrics == {"R@1/swap": 54.0, "scene": 46.0, "finetune/test/top1": 27.0}


def test_a_protocol_does_not_say_where_its_machine_keeps_runs(two_variants):
    protocol = read_sweeps([two_variants])[0].protocol
    assert (protocol["init_from"], protocol["resume"]) == (None, "checkpoints/last.ckpt")


def test_the_table_has_means_and_intervals(two_variants, tmp_path, capsys):
    main([two_variants, "--metrics", "R@1/swap", "scene", "--against", "moco", "--out", str(tmp_path / "out")])
    half = 4.302653 * np.array([20.0, 21.0, 22.0]).std(ddof=1) / 3**0.5  # the t distribution's quantile for three
    assert half == pytest.approx(2.484, abs=1e-3)
    table = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert table[0] == "| | seeds | R@1/swap | scene |"
    assert table[2:] == [
        "| moco | 0, 1, 2 | 21.0 ± 2.5 | 79.0 ± 2.5 |",
        "| be | 0, 1, 2 | **52.0 ± 5.0** | *48.0 ± 5.0* |",
        "",
        "| minus moco | seeds | R@1/swap | scene |",
        "|---|---|---:|---:|",
        "| be | 0, 1, 2 | **+31.0 ± 2.5** | *-31.0 ± 2.5* |",
    ]
    assert "| be | 0, 1, 2 |" in capsys.readouterr().out
    assert Image.open(tmp_path / "out" / "points.png").width > 400
    assert not (tmp_path / "out" / "curves.png").exists()


def test_unasked_it_shows_the_last_numbers_but_learning_rates(sweep, tmp_path):
    numbers = {**{f"metric_{number}": 1.0 for number in range(8)}, "lr-SGD": 0.1}
    main([sweep([(["be=none"], "demo", numbers, {}), (["be=inter"], "demo", numbers, {})])])
    head = (tmp_path / "sweep" / "table.md").read_text().splitlines()[0]
    assert head == "| | seeds | metric_2 | metric_3 | metric_4 | metric_5 | metric_6 | metric_7 |"


def test_a_comparison_is_drawn_again_from_its_own_file(two_variants, tmp_path):
    main([two_variants, "--out", str(tmp_path / "first"), "--metrics", "scene", "--against", "moco"])
    main([str(tmp_path / "first" / "runs.json"), "--out", str(tmp_path / "again")])
    assert "| | seeds | scene |" in (tmp_path / "again" / "table.md").read_text()
    assert (tmp_path / "again" / "table.md").read_text() == (tmp_path / "first" / "table.md").read_text()
    assert read_runs(tmp_path / "again" / "runs.json") == read_sweeps([two_variants])


def test_a_number_that_was_varied_becomes_a_curve(sweep, tmp_path):
    rows = [
        ([f"be.ratio={ratio}", f"be={kind}", f"seed={seed}"], "proof", {"R@1": 10 * ratio + seed}, {})
        for ratio in (0, 0.3, 0.9)
        for kind in ("inter", "original")
        for seed in (0, 1)
    ]
    main([sweep(rows), "--out", str(tmp_path / "out")])
    table = (tmp_path / "out" / "table.md").read_text()
    assert "| be.ratio=0.9 be=inter | 0, 1 | 9.5 ± 6.4 |" in table
    assert Image.open(tmp_path / "out" / "curves.png").height > 300


def test_data_sets_are_told_apart_by_the_names_of_their_folders_if_these_differ(sweep):
    def named(*roots):
        rows = [([f"data.root={root}", "seed=1"], "proof", {"a": 1.0}, {}) for root in roots]
        return [
            run.settings["data.root"] for run in read_sweeps([sweep(rows, folder="-".join(roots).replace("/", ""))])
        ]

    assert named("/here/half", "/there/whole/") == ["half", "whole"]
    assert named("/here/half", "/there/half") == ["/here/half", "/there/half"]


def test_parts_of_a_sweep_are_shown_as_the_first_was(sweep, tmp_path):
    parts = []
    for seed in (1, 2):
        rows = [
            ([f"variant={variant}", f"seed={seed}"], "proof", {"a": 1.0, "b": 2.0}, {}) for variant in ("moco", "be")
        ]
        parts.append(sweep(rows, folder=f"part {seed}"))
        main([parts[-1], "--metrics", "a", "--against", "moco"])
    main([*parts, "--out", str(tmp_path / "out")])
    assert (tmp_path / "out" / "table.md").read_text().startswith("| | seeds | a |\n")


@pytest.fixture
def with_curve(sweep):
    """A comparison of two variants at their own settings, and one of them with another value of one."""
    rows = [
        ([f"variant={variant}", "sweep=proof", "then=tune"], "proof", {"a": 1.0}, {}) for variant in ("be", "inter")
    ]
    parts = [
        sweep(rows, "all"),
        sweep([(["variant=be", "sweep=ratio", "be.ratio=0.9"], "proof", {"a": 2.0}, {})], "more"),
    ]
    for number, ratio in enumerate((0.3, 0.6)):
        config = {"be": {"ratio": ratio}, "sweep": "no key of a config"}
        (Path(parts[0]) / str(number) / "config.yaml").write_text(yaml.safe_dump(config))
    return parts


def test_settings_that_only_some_runs_override_come_from_configs_of_the_others(with_curve):
    assert list(variants(read_sweeps(with_curve))) == ["be be.ratio=0.3", "inter be.ratio=0.6", "be be.ratio=0.9"]


def test_equal_values_are_one_setting_however_command_lines_and_configs_write_them(sweep, tmp_path):
    told = ["variant=be", "be.prob=1", "mlp=true", "splits=[iid, swap]", "data.root='/a b/c=1'"]
    parts = [
        sweep([([*told, "seed=1"], "proof", {"top1": 10.0}, {})], "told"),
        sweep([(["variant=be", "seed=2"], "proof", {"top1": 50.0}, {})], "of the config"),
        sweep([(["variant=moco", "be.prob=0.50", "mlp=False", "seed=1"], "proof", {"top1": 5.0}, {})], "other"),
    ]
    config = {"be": {"prob": 1.0}, "mlp": True, "splits": ["iid", "swap"], "data": {"root": "/a b/c=1"}}
    for part in parts:
        (Path(part) / "0" / "config.yaml").write_text(yaml.safe_dump(config))
    main([*parts, "--out", str(tmp_path / "out")])
    found = variants(read_runs(tmp_path / "out" / "runs.json"))
    assert {name: [run.seed for run in of_variant] for name, of_variant in found.items()} == {
        "be be.prob=1 mlp=true": [1, 2],
        "moco be.prob=0.5 mlp=false": [1],
    }


def test_each_recipe_has_curves_of_its_own(sweep, tmp_path, monkeypatch):
    rows = [
        ([f"experiment={name}", f"variant={variant}", f"be.ratio={ratio}"], name, {"top1": 10 * ratio + more}, {})
        for name, more in (("proof", 0), ("proof_gpu", 50))
        for variant in ("be", "inter")
        for ratio in (0.1, 0.9)
    ]
    drawn = {}
    plot = Axes.plot

    def note(panel, places, values, *rest, **style):
        drawn[style.get("label")] = np.atleast_1d(values).tolist()
        return plot(panel, places, values, *rest, **style)

    monkeypatch.setattr(Axes, "plot", note)
    main([sweep(rows), "--out", str(tmp_path / "out")])
    names = ("proof be", "proof inter", "proof_gpu be", "proof_gpu inter")
    assert {name: drawn[name] for name in names} == dict(zip(names, [[1, 9], [1, 9], [51, 59], [51, 59]], strict=True))


def test_some_variants_alone_are_shown(with_curve, tmp_path):
    main([*with_curve, "--variants", "be", "--out", str(tmp_path / "out")])
    assert [run.settings["be.ratio"] for run in read_runs(tmp_path / "out" / "runs.json")] == ["0.3", "0.9"]
    assert (tmp_path / "out" / "curves.png").exists()
    main([*reversed(with_curve), "--out", str(tmp_path / "sorted")])
    rows = (tmp_path / "sorted" / "table.md").read_text().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["be be.ratio=0.3", "be be.ratio=0.9", "inter be.ratio=0.6"]
    with pytest.raises(SystemExit, match="error: expected variants of these runs, be, inter, got moco"):
        main([*with_curve, "--variants", "moco"])
    kept = tmp_path / "sorted" / "runs.json"
    with pytest.raises(SystemExit, match="--variants: expected --out=<another folder>, as .* would lose its other"):
        main([str(kept), "--variants", "be"])
    assert len(read_runs(kept)) == 3


def test_an_variant_is_called_by_its_name_and_what_lies_below_is_in_italics(sweep, tmp_path):
    parts = [
        sweep(
            [
                (
                    [f"variant={variant}", f"seed={seed}", f"seeds={seed}"],
                    "proof",
                    {"leak": leak + seed, "constant": 1.0},
                    {},
                )
                for variant, leak in {"moco": 90, "inter": 40}.items()
            ],
            folder=f"part {seed}",
        )
        for seed in (1, 2, 3)
    ]
    main([*parts, "--metrics", "leak", "constant", "--against", "moco", "--out", str(tmp_path / "out")])
    assert (tmp_path / "out" / "table.md").read_text().splitlines()[2:4] == [
        "| moco | 1, 2, 3 | 92.0 ± 2.5 | 1.0 ± 0.0 |",
        "| inter | 1, 2, 3 | *42.0 ± 2.5* | 1.0 ± 0.0 |",
    ]


@pytest.mark.parametrize(
    ("values", "limits"), [([0, 40], (0, 102)), ([-27, 40], None), ([5, 400], None), ([0.1, 0.5], None)]
)
def test_nothing_is_cut_off_an_axis(values, limits):
    assert _limits([np.array(values, float), np.array([np.nan, 0.5])]) == limits


def test_a_metric_missing_for_one_seed_has_no_mean(sweep, tmp_path):
    rows = [(["be=none", f"seed={seed}"], "demo", {"drop": value}, {}) for seed, value in enumerate((1.0, np.nan))]
    main([sweep(rows)])
    assert "| demo | 0, 1 | - |" in (tmp_path / "sweep" / "table.md").read_text()


def test_a_loss_far_below_one_keeps_three_digits(sweep, tmp_path):
    rows = [
        ([f"variant={name}", f"seed={seed}"], "demo", {"loss": loss + 0.0002 * seed, "top1": 0.0}, {})
        for name, loss in (("a", 0.012), ("b", 0.034))
        for seed in (1, 2)
    ]
    main([sweep(rows), "--against", "a"])
    table = (tmp_path / "sweep" / "table.md").read_text()
    assert "| a | 1, 2 | 0.0123 ± 0.0013 | 0.0 ± 0.0 |" in table
    assert "| b | 1, 2 | **+0.0220 ± 0.0000** | +0.0 ± 0.0 |" in table


def test_one_seed_has_no_interval_and_is_never_bold(sweep, tmp_path):
    rows = [(["be=none"], "demo", {"R@1": 1.0}, {}), (["be=original"], "demo", {"R@1": 99.0}, {})]
    main([sweep(rows), "--against", "be=none"])
    assert "| be=original | 0 | 99.0 |" in (tmp_path / "sweep" / "table.md").read_text()


@pytest.mark.parametrize(
    ("spoil", "arguments", "complaint"),
    [
        ("2/metrics.json", [], "expected metrics.json of every run, found none in 2"),
        (None, ["--metrics", "mAP"], "expected the metric mAP of every run, seed 0 of moco has: R@1/swap, finetune"),
        (
            None,
            ["--against", "triplet"],
            "expected the variant to compare against to be one of moco, be, or some of its settings, got 'triplet'",
        ),
    ],
)
def test_invalid_comparisons_are_clear_errors(two_variants, tmp_path, spoil, arguments, complaint):
    if spoil:
        (tmp_path / "sweep" / spoil).unlink()
    with pytest.raises(SystemExit) as stopped:
        main([two_variants, *arguments])
    assert complaint in str(stopped.value)


def test_a_folder_without_a_sweep_and_a_seed_twice_are_refused(two_variants, tmp_path):
    with pytest.raises(SystemExit, match="expected the folder of a sweep"):
        main([str(tmp_path)])
    with pytest.raises(SystemExit, match=r"expected a run of each seed, got seeds \[0, 1, 2, 0, 1, 2\]"):
        main([two_variants, two_variants])


def test_differences_are_those_of_the_seeds_that_both_have(sweep, tmp_path, capsys):
    rows = [
        (["variant=moco", f"seed={seed}"], "demo", {"top1": value}, {}) for seed, value in enumerate((1.0, 9.0, 5.0))
    ]
    rows += [
        (["variant=be", f"seed={seed}"], "demo", {"top1": value}, {}) for seed, value in ((1, 11.0), (2, 7.0), (8, 0.0))
    ]
    rows += [(["variant=inter", "seed=2"], "demo", {"top1": 50.0}, {})]
    main([sweep(rows), "--metrics", "top1", "--against", "moco"])
    table = (tmp_path / "sweep" / "table.md").read_text()
    assert "| be | 1, 2 | **+2.0 ± 0.0** |" in table
    assert table.count("| inter |") == 1  # one seed shared has no interval


def test_a_file_of_runs_and_sweeps_are_parts_of_one_comparison(sweep, tmp_path):
    def rows(seed, name="be", **more):
        told = [f"{key}={value}" for key, value in {"variant": name, "seed": seed, **more}.items()]
        return [(told, "demo", {"top1": 10.0 + seed}, {}), ([*told, "variant=moco"], "demo", {"top1": 1.0}, {})]

    main([sweep(rows(1), "first"), "--out", str(tmp_path / "kept")])
    kept = str(tmp_path / "kept" / "runs.json")
    main([kept, sweep(rows(2), "second"), sweep(rows(3), "third"), "--out", str(tmp_path / "all"), "--against", "moco"])
    runs = variants(read_runs(tmp_path / "all" / "runs.json"))
    assert {name: [run.seed for run in found] for name, found in runs.items()} == {"be": [1, 2, 3], "moco": [1, 2, 3]}
    with pytest.raises(
        SystemExit, match=r"vary the same settings: .*runs.json varies variant, .*other epochs, variant"
    ):
        main([kept, sweep(rows(4, epochs=2) + rows(5, epochs=3), "other"), "--out", str(tmp_path / "all")])


def test_runs_that_were_trained_or_measured_otherwise_are_no_seeds_of_one_variant(sweep, tmp_path):
    def part(folder, seed, **protocol):
        place = Path(sweep([(["variant=be", f"seed={seed}"], "proof", {"top1": 10.0 * seed}, {})], folder))
        file = place / "0" / "metrics.json"
        content = json.loads(file.read_text())
        file.write_text(json.dumps({**content, "protocol": {**content["protocol"], **protocol}}))
        return str(place)

    usual = {"epochs": 48, "steps": 1200, "be": {"ratio": 0.3, "prob": 1.0}}
    fold = part("fold", 2, **usual | {"steps": 1175, "be": {"ratio": 0.3, "prob": 1, "layout": "BCTHW"}})
    short = part("short", 3, **usual | {"epochs": 10, "steps": 250})
    weak = part("weak", 4, **usual | {"be": {"ratio": 0.1}})
    clips = part("clips", 5, **usual | {"test": {"clips": 1, "splits": ["iid", "swap"]}})
    test = {"test": {"clips": 10, "splits": ["iid"], "max_clips_per_forward": 16}}
    main([part("first", 1, **usual | test), "--out", str(tmp_path / "kept")])
    kept = str(tmp_path / "kept" / "runs.json")
    main([kept, fold, "--out", str(tmp_path / "both")])
    assert "| 1, 2 | 15.0 ± 63.5 |" in (tmp_path / "both" / "table.md").read_text()
    with pytest.raises(SystemExit, match="in their seed alone, got seed 1: epochs 48, steps 1200; seed 3: epochs 10, "):
        main([kept, short, "--out", str(tmp_path / "both")])
    with pytest.raises(SystemExit, match=r"seed 1: test.clips 10; seed 5: test.clips 1\. Compare"):
        main([kept, clips, "--out", str(tmp_path / "both")])
    with pytest.raises(SystemExit, match=r"seed 1: be.ratio 0.3; seed 4: be.ratio 0.1\. Compare"):
        main([kept, weak, "--out", str(tmp_path / "both")])


def test_each_is_compared_with_the_one_that_differs_in_the_settings_told_alone(sweep, tmp_path):
    def rows(variant, root, shift):
        told = [f"variant={variant}", f"data.root=/videos/{root}"]
        return [([*told, f"seed={seed}"], "demo", {"top1": seed + shift}, {}) for seed in (1, 2, 3)]

    parts = [("moco", "at_0.1", 10), ("swap", "at_0.1", 30), ("moco", "at_1", 0), ("swap", "at_1", 60)]
    found = [row for part in parts for row in rows(*part)] + rows("labels", "at_0.1", 0)[:1]
    main([sweep(found), "--against", "moco"])
    table = (tmp_path / "sweep" / "table.md").read_text().split("\n\n")
    assert table[1].splitlines()[0].startswith("| minus moco, all else alike | seeds |")
    assert table[1].splitlines()[2:] == [
        "| swap data.root=at_0.1 | 1, 2, 3 | **+20.0 ± 0.0** |",
        "| swap data.root=at_1 | 1, 2, 3 | **+60.0 ± 0.0** |",
    ]
    assert (tmp_path / "sweep" / "curves.png").exists()  # over the number in the names of the folders


@pytest.mark.parametrize(
    ("values", "label", "numbers"),
    [
        (["0.3", "1e-1"], "data.root", [0.3, 0.1]),
        (["at_96x72_0.1", "at_96x72_1"], "data.root: at_96x72_*", [0.1, 1.0]),
        (["train_2_groups.txt", "train_10_groups.txt"], "data.root: train_*_groups.txt", [2.0, 10.0]),
        (["at_0.1", "at"], None, None),
        (["a_1", "b_2"], None, None),
        (["at_1_of_2", "at_2_of_4"], None, None),
        (["same_1", "same_1"], None, None),
        (["at_1", "at_1.0"], None, None),
    ],
)
def test_names_that_differ_in_one_number_vary_it(values, label, numbers):
    variants = [{"data.root": value, "be": "none"} for value in values]
    varied = varied_number(variants)
    assert (varied and varied.label) == label
    assert (varied and [varied.of(settings) for settings in variants]) == numbers


def test_what_shares_its_last_setting_shares_its_color_and_lines_part_the_others(sweep, tmp_path, monkeypatch):
    overrides = [[f"host={host}", f"be={be}", "seed=1"] for host in ("moco", "byol") for be in ("none", "inter")]
    drawn, lines = [], []
    plot, axhline = Axes.plot, Axes.axhline
    monkeypatch.setattr(
        Axes, "plot", lambda *a, **k: drawn.append((a[2], k["color"]) if "markersize" in k else None) or plot(*a, **k)
    )
    monkeypatch.setattr(Axes, "axhline", lambda *a, **k: lines.append(a[1]) or axhline(*a, **k))
    main([sweep([(own, "proof", {"top1": 50.0}, None) for own in overrides]), "--out", str(tmp_path)])
    colors = [color for row, color in drawn if isinstance(row, int)]  # of the means
    assert len(colors) == 4
    assert colors[0] == colors[2] != colors[1] == colors[3]
    assert lines == [1.5]
