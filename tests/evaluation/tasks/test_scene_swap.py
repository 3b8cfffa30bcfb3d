import csv
from math import comb, factorial

import numpy as np
import pytest
import torch

from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.linear import LinearProbe
from tbe.evaluation.tasks.scene_swap import SceneSwap
from tbe.evaluation.tasks.scene_swap.__main__ import main
from tbe.evaluation.tasks.scene_swap.assignments import balanced_assignments
from tbe.evaluation.tasks.scene_swap.questions import NOT_ASKED, Videos, ask, fold_of_groups
from tbe.evaluation.tasks.scene_swap.scores import Scores, read_scores, score
from tbe.evaluation.tasks.scene_swap.task import nearest

TASK = SceneSwap(LinearProbe(strengths=(0.1,)), folds=2, draws=200)
PROBES = ("linear_top1", "R@1")


@pytest.mark.parametrize(
    ("num_classes", "num_scenes", "count"),
    [(6, 2, comb(6, 3)), (5, 2, 2 * comb(5, 2)), (4, 4, factorial(4)), (2, 4, 12), (6, 3, 90)],
)
def test_all_balanced_assignments_are_found_once(num_classes, num_scenes, count):
    found = balanced_assignments(np.ones((num_classes, num_scenes), bool), most=count)
    assert len(found) == len({tuple(homes) for homes in found}) == count
    loads = np.stack([np.bincount(homes, minlength=num_scenes) for homes in found])
    assert (np.ptp(loads, axis=1) <= 1).all()


@pytest.mark.parametrize(("num_classes", "num_scenes"), [(6, 3), (12, 12), (25, 3), (4, 20)])
def test_some_of_many_assignments_are_drawn_balanced_and_possible(num_classes, num_scenes):
    possible = np.ones((num_classes, num_scenes), bool)
    possible[0, 1:] = False  # the first class can be at home in the first scene alone
    drawn = balanced_assignments(possible, most=15, seed=1)
    assert len({tuple(homes) for homes in drawn}) == 15
    assert possible[np.arange(num_classes), drawn].all()
    assert all(np.ptp(np.bincount(homes, minlength=num_scenes)) <= 1 for homes in drawn)
    assert np.array_equal(balanced_assignments(possible, 15, seed=1), drawn)
    assert not np.array_equal(balanced_assignments(possible, 15, seed=2), drawn)


@pytest.mark.parametrize("num_classes", [4, 40])
def test_there_may_be_no_balanced_assignment(num_classes):
    possible = np.zeros((num_classes, 2), bool)
    possible[:, 0] = True
    assert balanced_assignments(possible, most=15).shape == (0, num_classes)


def videos(num_classes=6, num_scenes=2, num_groups=4, copies=1):
    """Classes, scenes and groups of videos: in each scene groups of its own, which show every class `copies` times."""
    grid = np.indices((num_classes, num_scenes, num_groups, copies)).reshape(4, -1)
    return grid[0], grid[1], grid[1] * num_groups + grid[2]


def measured(known, vectors, classes, scenes, groups=None, task=TASK, name="net"):
    evaluation = known(test=(torch.as_tensor(vectors).float(), torch.from_numpy(classes)), gallery="test")
    evaluation.name = name
    source = evaluation.datamodule.source
    source.scenes = lambda split: torch.from_numpy(scenes)
    source.groups = lambda split: None if groups is None else torch.from_numpy(groups)
    return task.run(evaluation), evaluation.folder


def of(metrics, question, ends=("",)):
    return [metrics[f"scene_swap/{question}/{probe}{end}"] for probe in PROBES for end in ends]


def noisy(labels):
    return 3 * np.eye(1 + labels.max())[labels] + 0.01 * np.random.default_rng(0).normal(
        size=(len(labels), 1 + labels.max())
    )


def test_features_of_the_scene_alone_answer_by_the_scene(known):
    classes, scenes, groups = videos(num_groups=2)
    metrics, folder = measured(known, noisy(scenes), classes, scenes, groups)
    assert of(metrics, "swap", ("", "_low", "_high")) == [0] * 6
    assert of(metrics, "scene_answers") == [100] * 2
    assert max(of(metrics, "home")) < 60  # one of three classes that are at home there
    assert max(of(metrics, "unbiased")) < 40
    assert of(metrics, "drop") == of(metrics, "home")
    assert metrics["scene_swap/scene_linear_top1"] == metrics["scene_swap/scene_R@1"] == 100
    rows = list(csv.DictReader((folder / "scene_swap" / "net" / "assignments.csv").open()))
    homes = [[row[f"class {label}"] for label in range(6)] for row in rows]
    assert len(homes) == len(set(map(tuple, homes))) == 20
    assert all(sorted(of_row) == 3 * ["scene 0"] + 3 * ["scene 1"] for of_row in homes)
    assert {row["swap/R@1"] for row in rows} == {"0.00"}


def test_features_of_the_class_alone_answer_as_well_in_another_scene(known):
    classes, scenes, groups = videos(num_classes=4, num_groups=2)
    metrics, _ = measured(known, noisy(classes), classes, scenes, groups)
    for question in ("swap", "home", "unbiased"):
        assert of(metrics, question, ("", "_low", "_high")) == [100] * 6
    assert of(metrics, "drop", ("", "_low", "_high")) == [0] * 6
    assert of(metrics, "scene_answers") == [0] * 2
    assert metrics["scene_swap/scene_linear_top1"] < 80


def test_scenes_of_more_than_two_and_classes_of_other_numbers(known):
    classes, scenes, _ = videos(num_classes=4, num_scenes=3, num_groups=2)
    task = SceneSwap(LinearProbe(strengths=(0.1,)), folds=2, assignments=4, draws=20)
    metrics, _ = measured(known, noisy(classes), 2 * classes, 5 * scenes, task=task)
    assert of(metrics, "swap") == of(metrics, "home") == of(metrics, "unbiased") == [100] * 2


def test_without_groups_each_video_is_one_whatever_its_number_in_this_process(known, monkeypatch):
    classes, scenes, _ = videos(num_classes=2, num_groups=3)
    ids, found = np.random.default_rng(0).permutation(len(classes)), []
    for numbers in (ids, -ids):
        monkeypatch.setattr(Evaluation, "video_ids", lambda *_, numbers=numbers: torch.from_numpy(numbers))
        _, folder = measured(known, np.random.default_rng(1).normal(size=(len(classes), 2)), classes, scenes)
        found.append(read_scores(folder / "scene_swap" / "net" / "scores.npz"))
    assert found[0].sums.shape[2] == len(classes)
    assert np.array_equal(found[0].sums, found[1].sums)
    assert found[0].of == found[1].of


def test_twins_of_one_group_do_not_find_each_other():
    classes, scenes, groups = videos(num_classes=4, copies=2)
    vectors = noisy(groups * 4 + classes)  # tell a video's twin, and nothing of any other
    assignments = balanced_assignments(np.ones((4, 2), bool), most=6)
    found = {}
    for kind, of_kind in {"groups": groups, "videos": np.arange(len(classes))}.items():
        known = Videos(vectors, classes, scenes, of_kind)
        answers = ask(known, assignments, fold_of_groups(known, 4, seed=0), {"R@1": nearest}, seed=0)
        found[kind] = score(known, assignments, answers).means()["home/R@1"]
    assert found["videos"] > found["groups"] + 20


@pytest.mark.parametrize(("num_classes", "num_scenes"), [(6, 2), (3, 4)])
def test_what_is_learned_from_is_other_groups_at_home_or_as_many_spread_over_scenes(num_classes, num_scenes):
    classes, scenes, groups = videos(num_classes, num_scenes, num_groups=5)
    numbers = np.arange(len(classes))[:, None]
    found = Videos(numbers, classes, scenes, groups)
    folds = fold_of_groups(found, 5, seed=0)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in np.unique(groups))
    assert all(np.ptp(np.bincount(folds[scenes == scene])) == 0 for scene in np.unique(scenes))
    seen = []

    def spy(trained, labels, asked):
        seen.append((trained[:, 0], asked[:, 0]))
        return np.zeros(len(asked), np.int64)

    assignments = balanced_assignments(np.ones((num_classes, num_scenes), bool), most=3)
    answers = ask(found, assignments, folds, {"spy": spy}, seed=0)
    asked_scenes = [(assignments == scene).any(axis=1)[:, None] & (scenes == scene) for scene in range(num_scenes)]
    assert np.array_equal(answers.biased["spy"] != NOT_ASKED, np.any(asked_scenes, axis=0))
    per_fold = [seen[start + 1 : start + 1 + 2 * len(assignments)] for start in range(0, len(seen), len(seen) // 5)]
    for of_fold in per_fold:
        for homes, (biased, asked), (unbiased, same) in zip(assignments, of_fold[::2], of_fold[1::2], strict=True):
            assert np.array_equal(asked, same)
            assert not {*groups[asked]} & {*groups[biased], *groups[unbiased]}
            assert (scenes[biased] == homes[classes[biased]]).all()
            assert np.array_equal(np.bincount(classes[biased]), np.bincount(classes[unbiased]))
            cells = np.zeros((num_classes, num_scenes), int)
            np.add.at(cells, (classes[unbiased], scenes[unbiased]), 1)
            assert (np.ptp(cells[:, np.unique(homes)], axis=1) <= 1).all()


def test_a_class_is_at_home_only_where_some_of_it_is_left_to_learn_from(known):
    # Of class 2, both groups of scene 0 are asked in the same fold: they begin with other classes, ten groups apart.
    classes, scenes, groups = videos(num_classes=2, num_scenes=2, num_groups=10)
    found = Videos(np.zeros((len(classes), 1)), classes, scenes, groups)
    folds = fold_of_groups(found, 5, seed=0)
    same = groups[(scenes == 0) & (folds == 0)]
    more = [[2, 0, group] for group in np.unique(same)] + [[2, 1, group] for group in range(10, 20)]
    grid = np.concatenate([np.stack([classes, scenes, groups]), np.array(more).T], axis=1)
    task = SceneSwap(LinearProbe(strengths=(0.1,)), draws=20)
    metrics, folder = measured(known, noisy(grid[0]), *grid, task=task)
    rows = list(csv.DictReader((folder / "scene_swap" / "net" / "assignments.csv").open()))
    assert {row["class 2"] for row in rows} == {"scene 1"}
    assert of(metrics, "home") == of(metrics, "swap") == [100, 100]


def test_scores_are_counted_as_by_hand():
    classes, scenes, groups = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.arange(4)
    assignments = np.array([[0, 1], [1, 0]])
    told = np.array([[0, 0, 0, 1], [0, 1, 1, 1]])  # the second answers by the scene but for its third
    answers = ask(
        Videos(np.zeros((4, 1)), classes, scenes, groups), assignments, groups, {"p": lambda t, y, a: y[:1]}, seed=0
    )._replace(biased={"p": told}, unbiased={"p": told}, scenes={"p": np.array([0, 1, 0, 0])})
    means = score(Videos(np.zeros((4, 1)), classes, scenes, groups), assignments, answers).means()
    assert means["home/p"] == 100 * 3 / 4
    assert means["swap/p"] == 100 * 3 / 4
    assert means["unbiased/p"] == 100 * 6 / 8
    assert means["scene_answers/p"] == 100 * 1 / 4
    assert means["scene_p"] == 75
    assert means["drop/p"] == 0


def test_checkpoints_are_compared_on_the_same_draws(known):
    classes, scenes, groups = videos(num_classes=2, num_groups=2)
    rows = {}
    for name, features in {"scene": scenes, "same": scenes, "class": classes}.items():
        rows[name], folder = measured(known, noisy(features), classes, scenes, groups, name=name)
    TASK.compare(rows, folder)
    text = (folder / "scene_swap" / "table.md").read_text()
    first, second = text.split("Minus scene:")
    assert "| | scene | same | class |" in first
    assert "| swap/R@1 | 0.0 [0.0, 0.0] | 0.0 [0.0, 0.0] | 100.0 [100.0, 100.0] |" in first
    assert "| home/R@1 | +0.0 [+0.0, +0.0] |" in second
    assert "| swap/R@1 | +0.0 [+0.0, +0.0] | +100.0 [+100.0, +100.0] |" in second


def test_the_scores_of_seeds_are_added_and_variants_compared(tmp_path, capsys):
    for run, right in {"a1": 1.0, "a2": 3.0, "b": 4.0}.items():
        (tmp_path / run).mkdir()
        Scores(["scene_p"], np.full((1, 2, 3), right), np.full((1, 2, 3), 4.0)).write(tmp_path / run / "scores.npz")
    main([f"a={tmp_path}/a1,{tmp_path}/a2", f"b={tmp_path}/b/scores.npz"])
    printed = capsys.readouterr().out
    assert "| scene_p | 50.0 [50.0, 50.0] | 100.0 [100.0, 100.0] |" in printed
    assert "| scene_p | +50.0 [+50.0, +50.0] |" in printed.partition("Minus a:")[2]
    (tmp_path / "c").mkdir()
    Scores(["scene_p"], np.ones((1, 2, 2)), np.ones((1, 2, 2))).write(tmp_path / "c" / "scores.npz")
    with pytest.raises(SystemExit, match="a: expected runs of the same videos and assignments"):
        main([f"a={tmp_path}/a1,{tmp_path}/c"])
    with pytest.raises(SystemExit, match="expected a run of task=scene_swap with one checkpoint"):
        main([f"a={tmp_path}"])
    for run in ("some", "others"):
        Scores(["scene_p"], np.ones((1, 2, 3)), np.ones((1, 2, 3)), of=run).write(tmp_path / run / "scores.npz")
    with pytest.raises(SystemExit, match="a: .* but other videos, groups or homes of classes. Repeat"):
        main([f"a={tmp_path}/some", f"b={tmp_path}/others"])
    for wrong, message in {
        (f"{tmp_path}/a1",): "expected <name>=<run>",
        (f"a={tmp_path}/a1", f"a={tmp_path}/a2"): "variants of different names, got 'a' twice",
        (f"a={tmp_path}/a1,{tmp_path}/a1",): "expected each run once",
    }.items():
        with pytest.raises(SystemExit, match=message):
            main([*wrong])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda classes, scenes: np.where(classes == 2, 1, scenes),
            "'class 2' in 'scene 1' alone .1 such of 6 classes",
        ),
        (lambda classes, scenes: np.arange(len(classes)), "expected 6 classes that can be assigned to 48 scenes"),
        (lambda classes, scenes: None, "expected data with scenes, such as data=ut_interaction"),
    ],
)
def test_data_that_cannot_be_swapped_are_refused(known, change, message):
    classes, scenes, _ = videos()
    scenes = change(classes, scenes)
    evaluation = known(test=(torch.zeros(len(classes), 2), torch.from_numpy(classes)), gallery="test")
    evaluation.datamodule.source.scenes = lambda split: None if scenes is None else torch.from_numpy(scenes)
    with pytest.raises(ValueError, match=message):
        TASK.run(evaluation)


@pytest.mark.parametrize("settings", [{"folds": 1}, {"assignments": 0}, {"draws": 0}])
def test_invalid_settings_are_refused(settings):
    with pytest.raises(ValueError, match="scene_swap: expected at least two folds and one of assignments and draws"):
        SceneSwap(LinearProbe(), **settings)
