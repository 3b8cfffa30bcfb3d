import random
from itertools import pairwise

import pytest

import tbe.prepare.__main__ as prepare

SIZES = (200, 35, 4, 1)
LINES = [
    f"class {label}/video {number}.mp4 {label} {number + 10}" for label, n in enumerate(SIZES) for number in range(n)
]


@pytest.fixture
def subset(tmp_path):
    """subset("--fraction", 0.1) returns the lines drawn from LINES."""

    def draw(*options, lines=LINES):
        (tmp_path / "train_1.txt").write_text("\n".join(lines) + "\n")
        options = ["--list", tmp_path / "train_1.txt", "--out", tmp_path / "part.txt", *options]
        prepare.main(["subset", *map(str, options)])
        return (tmp_path / "part.txt").read_text().splitlines()

    return draw


def of_each_class(lines):
    return [sum(line.split()[-2] == str(label) for line in lines) for label in range(len(SIZES))]


def test_a_fraction_applies_to_each_class_with_at_least_one(subset, capsys):
    part = subset("--fraction", 0.1)
    assert of_each_class(part) == [20, 4, 1, 1]
    assert part == [line for line in LINES if line in part]
    assert "26 of 240 videos, 4 classes" in capsys.readouterr().out
    assert subset("--fraction", 1) == LINES


def test_a_number_applies_to_each_class_or_takes_all_of_it(subset, capsys):
    assert of_each_class(subset("--per-class", 5)) == [5, 5, 4, 1]
    assert "2 classes have fewer than 5 videos" in capsys.readouterr().out


@pytest.mark.parametrize("seed", [0, 7])
def test_subsets_of_one_seed_are_nested(subset, seed):
    parts = [set(subset("--fraction", fraction, "--seed", seed)) for fraction in (0.01, 0.05, 0.1, 0.5)]
    assert all(small <= large for small, large in pairwise(parts))
    assert set(subset("--per-class", 3, "--seed", seed)) < set(subset("--per-class", 12, "--seed", seed))


def test_the_draw_depends_on_the_seed_and_not_on_the_order(subset):
    shuffled = random.Random(0).sample(LINES, len(LINES))
    assert set(subset("--fraction", 0.1)) == set(subset("--fraction", 0.1, lines=shuffled))
    assert set(subset("--fraction", 0.1)) != set(subset("--fraction", 0.1, "--seed", 1))


def test_groups_are_taken_whole_nested_and_whatever_the_labels_say(subset, capsys):
    lines = [f"sign {label}/p{person}_{take}.mp4 {label}" for label in range(3) for person in range(5) for take in "ab"]
    parts = [subset("--num-groups", n, "--group", r"/p(\d)_", lines=lines) for n in (1, 2, 5)]
    people = [{line.split("/p")[1][0] for line in part} for part in parts]
    assert [len(part) for part in parts] == [6, 12, 30]
    assert [len(of_part) for of_part in people] == [1, 2, 5]
    assert people[0] < people[1]
    assert "30 of 30 videos, 3 classes" in capsys.readouterr().out
    scenes = [f"{line.rsplit(' ', 1)[0]} {number % 4}" for number, line in enumerate(lines)]
    drawn = subset("--num-groups", 2, "--group", r"/p(\d)_", lines=scenes)
    assert [line.rsplit(" ", 1)[0] for line in drawn] == [line.rsplit(" ", 1)[0] for line in parts[1]]


def test_two_columns_stay_two_and_the_file_name_has_the_size(tmp_path):
    (tmp_path / "train.txt").write_text("a b.mp4 0\nc.mp4 1\n")
    for options in (["--fraction", "0.05"], ["--per-class", "1"], ["--num-groups", "2", "--group", "(.)[.]mp4"]):
        prepare.main(["subset", "--list", str(tmp_path / "train.txt"), *options])
    for name in ("train_0.05.txt", "train_1_per_class.txt", "train_2_groups.txt"):
        assert (tmp_path / name).read_text() == "a b.mp4 0\nc.mp4 1\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fraction", "0"], "--fraction: expected a number above 0 and up to 1, got 0.0"),
        (["--fraction", "1.5"], "--fraction: expected a number above 0 and up to 1, got 1.5"),
        (["--per-class", "0"], "--per-class: expected at least 1, got 0"),
        (["--num-groups", "2"], "--num-groups: expected --group, or a list with the column group"),
        (["--num-groups", "2", "--group", "(.)"], "--num-groups: expected 1 to 1, as many as --group tells, got 2"),
        (["--fraction", "1", "--out", "{list}"], "expected another file than --list"),
    ],
)
def test_impossible_options_are_refused(tmp_path, options, message):
    (tmp_path / "train.txt").write_text("a.mp4 0\n")
    options = [option.format(list=tmp_path / "train.txt") for option in options]
    with pytest.raises(SystemExit, match=message):
        prepare.main(["subset", "--list", str(tmp_path / "train.txt"), *options])
    with pytest.raises(SystemExit, match="gone.txt: expected a list"):
        prepare.main(["subset", "--list", str(tmp_path / "gone.txt"), "--fraction", "0.5"])


def test_a_table_is_drawn_from_by_its_column_of_groups_and_keeps_its_columns(tmp_path):
    rows = [f"{number}.mp4,{number % 2},{9 + number},s{number % 3},g{number // 4}" for number in range(12)]
    file, out = tmp_path / "train.csv", tmp_path / "train_1_groups.csv"
    file.write_text("\n".join(["path,label,num_frames,scene,group", *rows]))
    prepare.main(["subset", "--list", str(file), "--num-groups", "1"])
    head, *drawn = out.read_text().splitlines()
    assert head == "path,label,num_frames,scene,group"
    assert drawn in [rows[:4], rows[4:8], rows[8:]]
