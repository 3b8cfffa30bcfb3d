import os
import pickle

import pytest
import torch

import tbe.prepare.__main__ as prepare
from tbe.data.readers import DecordReader
from tbe.prepare.benchmarks.hat_swap.pairs import read_pairs
from tests.prepare.hat_folders import NUM_FRAMES, write_hat

ARCHERY, BOWLING = NUM_FRAMES
OWN = f"{ARCHERY}.mp4 5\n{BOWLING}.mp4 31\n"
PAIRS = {ARCHERY: [BOWLING, 4, 31], "waxing/not_in_the_list": [ARCHERY, 8, 5]}


@pytest.fixture
def swap(annotations, tmp_path):
    """swap(pairs) runs the command and returns its output folder."""

    def run(pairs, name="actionswap_far_1.pickle"):
        folder = annotations({"val.txt": OWN})
        (tmp_path / name).write_bytes(pickle.dumps(pairs, protocol=4))
        given = ["--root", tmp_path / "kinetics400", "--pairs", tmp_path / name, "--list", folder / "val.txt"]
        prepare.main(["hat_swap", *map(str, [*given, "--out", tmp_path / "out", "--workers", 1])])
        return tmp_path / "out"

    return run


def test_the_actor_moves_to_the_position_of_the_inpainted_people(swap, tmp_path, capsys):
    write_hat(tmp_path / "kinetics400")
    out = swap(PAIRS)
    made = out / f"{ARCHERY}.mp4"
    assert (out / "hat_far_1.txt").read_text() == f"{made} 5 8\n"
    assert (out / "hat_far_1_background.txt").read_text() == f"{made} 31 8\n"
    assert (
        f"+data.splits.hat_far_1={out}/hat_far_1.txt ++data.allow_outside_root=true 'query=[test,hat_far_1]'"
        in capsys.readouterr().out
    )
    frames = DecordReader("cpu")(str(made)).frames(range(8)).float().mean(dim=1)
    assert frames.shape == (8, 32, 32)  # bowling, as large as archery by the short side
    behind = frames[:, 28:, :4].mean(dim=(1, 2))
    assert (behind - 100).div(20).round().tolist() == [0, 0, 1, 2, 2, 2, 3, 3]  # half a frame is rounded to even
    # bowling's people are at rows 16 to 24 and columns 12 to 16 of the smaller picture: archery's go 8 down, 6 right
    person = frames > 200
    assert [place.nonzero().min(dim=0).values.tolist() for place in person] == [
        [12, 10 + number] for number in range(8)
    ]


def test_existing_output_of_other_pairs_is_refused(swap, tmp_path):
    write_hat(tmp_path / "kinetics400")
    swap(PAIRS)
    with pytest.raises(SystemExit, match=r"expected a report of a run with pairs=actionswap_rand_1 .*: change --out"):
        swap(PAIRS, "actionswap_rand_1.pickle")


def test_failed_videos_are_named(swap, tmp_path, capsys):
    write_hat(tmp_path / "kinetics400")
    (tmp_path / "kinetics400" / "seg" / ARCHERY / "000008.png").unlink()
    with pytest.raises(SystemExit, match="1 of 1 videos failed"):
        swap(PAIRS)
    assert "expected a mask of each of its 8 frames, got 7" in capsys.readouterr().out


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({ARCHERY: Harmful()}, r"got an error: it contains \w+.mkdir, which is refused"),
        (torch.tensor([1]), r"got an error: it contains torch"),
        ({}, r"expected \{action: \[background, number of frames, class\]\}, got \{\}"),
        ({ARCHERY: [BOWLING, 4]}, r"expected \{action: .*, got \{'archery"),
        ({ARCHERY: (BOWLING, 4, 31)}, r"expected \{action: "),
    ],
)
def test_only_plain_values_are_unpickled(tmp_path, monkeypatch, pairs, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.pickle").write_bytes(pickle.dumps(pairs))
    with pytest.raises(ValueError, match=message):
        read_pairs(tmp_path / "pairs.pickle")
    assert not (tmp_path / "harmed").exists()


def test_a_file_that_is_not_a_pickle_is_refused(tmp_path):
    (tmp_path / "pairs.pickle").write_text("version https://git-lfs")
    with pytest.raises(ValueError, match=r"pairs.pickle: expected a pickle of .*, got an error"):
        read_pairs(tmp_path / "pairs.pickle")


def test_pairs_that_do_not_fit_the_list_are_refused(swap, tmp_path):
    write_hat(tmp_path / "kinetics400")
    with pytest.raises(SystemExit, match=r"far_1.pickle: expected actions that .*val.txt has, got none"):
        swap({"waxing/x": [BOWLING, 4, 31]})
    with pytest.raises(SystemExit, match=r"expected backgrounds of the classes of --list, got 'waxing'"):
        swap({ARCHERY: ["waxing/x", 4, 31]})
