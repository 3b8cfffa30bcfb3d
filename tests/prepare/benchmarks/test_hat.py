import numpy as np
import pytest

import tbe.prepare.__main__ as prepare
from tbe.data.sources.video_lists import VideoLists
from tests.prepare.hat_folders import NUM_FRAMES, write_hat

OWN = "".join(f"{video}.mp4 {label}\n" for label, video in enumerate([*NUM_FRAMES, "bowling/c_000001_000011"]))


def hat(root, lists):
    prepare.main(["hat", "--root", str(root), "--list", str(lists / "val.txt")])


def test_the_videos_of_the_list_become_two_splits_with_masks(annotations, rows, tmp_path, capsys):
    folder, root = annotations({"val.txt": OWN}), tmp_path / "kinetics400"
    write_hat(root)
    hat(root, folder)
    for name, part in (("hat_original", "ori"), ("hat_background", "inp")):
        expected = [(str(root / part / video), label) for label, video in enumerate(NUM_FRAMES)]
        assert rows(folder / f"{name}.txt") == expected
    said = capsys.readouterr().out
    assert "2 of the 3 hat_background videos found, 1 missing" in said
    assert f"++data.masks={root}/seg ++data.mask_above=128" in said
    splits = {"test": "val.txt", "hat_original": "hat_original.txt"}
    data = VideoLists(
        "kinetics400",
        str(root),
        splits,
        3,
        str(folder),
        masks=str(root / "seg"),
        mask_above=128,
        allow_outside_root=True,
    )
    data.prepare()
    found = data.foreground("hat_original", 0, [0, 3])
    assert np.argwhere(found[1]).min(axis=0).tolist() == [4, 7]


def test_a_part_may_be_missing_but_not_all(annotations, tmp_path, capsys):
    folder, root = annotations({"val.txt": OWN}), tmp_path / "kinetics400"
    with pytest.raises(SystemExit, match=r"kinetics400: expected the folder of ori, inp and seg, got no such folder"):
        hat(root, folder)
    write_hat(root, parts=["inp"])
    hat(root, folder)
    assert (folder / "hat_background.txt").exists()
    assert not (folder / "hat_original.txt").exists()
    assert "seg: no masks found" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"expected videos like 'ori/x/y', found none"):
        hat(root, annotations({"val.txt": "x/y.mp4 0\n"}))
