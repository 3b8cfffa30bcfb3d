import pytest

from tbe.prepare.common import existing_videos, write_lists


def test_videos_linked_outside_the_root_are_counted(tmp_path, capsys):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "walk", elsewhere):
        folder.mkdir(parents=True)
        (folder / "a.mp4").touch()
    (root / "run").symlink_to(elsewhere, target_is_directory=True)
    (root / "walk" / "out.mp4").symlink_to(elsewhere / "a.mp4")
    (root / "walk" / "in.mp4").symlink_to(root / "walk" / "a.mp4")
    rows = [(path, 0) for path in ("walk/a.mp4", "walk/in.mp4", "walk/out.mp4", "run/a.mp4", "gone.mp4")]
    assert existing_videos({"train": rows}, root) == {"train": rows[:-1]}
    said = capsys.readouterr().out
    assert "4 of the 5 train videos found, 1 missing" in said
    assert "links lead 2 of them outside: train with data.allow_outside_root=true" in said


def test_lists_of_classes_that_are_numbered_otherwise_do_not_come_beside_others(tmp_path, capsys):
    write_lists("mine", tmp_path, {"train": [("walk/1.mp4", 0)]}, ["walk"])
    with pytest.raises(ValueError, match=r"of the lists that lie beside it, such as train.txt, where 0 is 'walk'; got"):
        write_lists("mine", tmp_path, {"val": [("run/2.mp4", 0), ("walk/2.mp4", 1)]}, ["run", "walk"])
    assert not (tmp_path / "val.txt").exists()
    write_lists("mine", tmp_path, {"val": [("yawn/2.mp4", 1)]}, ["walk", "yawn"])
    write_lists("mine", tmp_path, {"train": [("run/1.mp4", 0)], "val": [("walk/2.mp4", 1)]}, ["run", "walk"])
