from pathlib import Path

import numpy as np
import pytest

from tbe.data.readers import DecodeError
from tbe.data.sources.video_lists import VideoLists


def source(folder, **settings):
    return VideoLists(
        **{
            "name": "mine",
            "root": str(folder),
            "splits": {"train": "train.txt", "test": "test.txt"},
            "num_classes": 2,
            "variable": "MINE_ROOT",
            **settings,
        }
    )


def test_without_a_val_list_a_share_of_each_class_is_held_out(video_folder):
    data = source(video_folder, val_share=0.25)
    data.prepare()
    train, val = data.records("train"), data.records("val")
    assert (len(train), len(val)) == (6, 2)
    assert sorted(val.labels.tolist()) == [0, 1]
    assert not set(train.paths.tolist()) & set(val.paths.tolist())
    assert len(data.records("test")) == 4


def test_without_a_val_list_whole_groups_are_held_out_where_they_are_known(video_folder, tmp_path):
    persons = "ann", "bob", "cy"
    rows = [f"class {label}/{persons[number % 3]} {number}.mp4,{label}" for number in range(9) for label in (0, 1)]
    (tmp_path / "train.csv").write_text("\n".join(["path,label,group", *(f"{row},{row[8:11]}" for row in rows)]))
    (tmp_path / "plain.csv").write_text("\n".join(["path,label", *rows]))
    by_column = source(video_folder, lists=str(tmp_path), splits={"train": "train.csv"}, val_share=0.3)
    settings = {"splits": {"train": "plain.csv"}, "groups": r"/(\w+) "}
    by_path = source(video_folder, lists=str(tmp_path), val_share=0.3, **settings)
    for data in (by_column, by_path):
        of_train, of_val = ({path[8:11] for path in data.records(split).paths} for split in ("train", "val"))
        assert (len(of_train), len(of_val)) == (2, 1)
        assert not of_train & of_val


def test_val_share_zero_trains_on_everything(video_folder):
    data = source(video_folder, val_share=0)
    assert not data.has("val")
    assert len(data.records("train")) == 8


def test_without_a_class_of_two_videos_there_is_no_val_split(video_folder, tmp_path):
    (tmp_path / "train.txt").write_text("class 0/video 0.mp4 0\nclass 1/video 1.mp4 1\n")
    data = source(video_folder, lists=str(tmp_path), splits={"train": "train.txt"}, val_share=0.9)
    assert not data.has("val")
    assert len(data.records("train")) == 2
    with pytest.raises(ValueError, match="expected a split among train, got 'val': no class of the train list has two"):
        data.records("val")
    with (tmp_path / "train.txt").open("a") as file:
        file.write("class 0/video 2.mp4 0\n")
    assert data.has("val")
    assert (len(data.records("train")), len(data.records("val"))) == (2, 1)  # of two videos one stays, whatever share


def test_a_file_in_place_of_a_folder_is_refused(video_folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match=r"data=mine: expected the folder of .*, got a file: .*file\. Set"):
        source(tmp_path / "file").prepare()
    with pytest.raises(FileNotFoundError, match=r"data=mine: expected data.lists to be a folder, got a file: .*file"):
        source(video_folder, lists=str(tmp_path / "file")).prepare()


def test_a_val_list_is_used_unchanged(video_folder):
    data = source(video_folder, splits={"train": "train.txt", "val": "test.txt"})
    assert len(data.records("train")) == 8
    assert np.array_equal(data.records("val").paths, source(video_folder).records("test").paths)


def test_a_split_of_null_is_absent(video_folder):
    data = source(video_folder, splits={"train": "train.txt", "val": None, "test": "test.txt"}, val_share=0)
    data.prepare()
    assert not data.has("val")
    assert len(data.records("train")) == 8


def test_a_missing_folder_names_key_variable_and_guide(tmp_path):
    for root in (None, tmp_path / "gone"):
        with pytest.raises(
            FileNotFoundError, match=r"data=mine: .*data.root=<folder>.*MINE_ROOT.*your-own-data.md, 'Public data sets'"
        ):
            source(tmp_path, root=root).prepare()


def test_missing_videos_are_reported_before_anything_is_read(video_folder, tmp_path, caplog):
    lists = {"lists": str(video_folder)}
    with pytest.raises(
        FileNotFoundError, match=r"found none of those looked for: 5 of train, such as .*data.root=<fol"
    ):
        source(tmp_path, **lists).prepare()
    test = source(tmp_path, **lists).records("test")
    (tmp_path / "class 0").mkdir()
    Path(test.path(0)).touch()  # the first of test is enough, but the others are missed
    source(tmp_path, **lists).prepare()
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"found none of those looked for: 5 of train, such as {tmp_path}/class 0/video 0.mp4. Set data.root" in said


def test_an_invalid_list_that_is_not_used_is_tolerated(video_folder, tmp_path):
    (tmp_path / "train.txt").write_bytes((video_folder / "train.txt").read_bytes())
    (tmp_path / "test.txt").write_text("no label\n")
    data = source(video_folder, lists=str(tmp_path))
    data.prepare()
    with pytest.raises(ValueError, match=r"test\.txt:1: expected"):
        data.records("test")


def test_a_missing_list_names_its_place_and_how_to_make_it(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"train videos at .*train.txt.*data.lists=<folder>.*Make it with: do this"
    ):
        source(tmp_path, how_to_get_lists="do this").prepare()


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../other/a.mp4", "class/../../a.mp4", "class/..", "C:/a.mp4", "..\\a.mp4"]
)
def test_list_paths_outside_the_root_are_refused(tmp_path, path):
    (tmp_path / "train.txt").write_text(f"b..mp4 0\n..c/a.mp4 1\n{path} 0\n")
    with pytest.raises(
        ValueError, match=r"train\.txt \(data=mine\): expected paths below .* as video 3\. .*allow_outside"
    ):
        source(tmp_path, val_share=0).records("train")
    assert len(source(tmp_path, val_share=0, allow_outside_root=True).records("train")) == 3


def test_links_out_of_the_root_are_refused(tmp_path):
    (tmp_path / "secret.mp4").write_bytes(b"")
    root = tmp_path / "root"
    root.mkdir()
    (root / "inside.mp4").write_bytes(b"")
    (root / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (root / "in.mp4").symlink_to(root / "inside.mp4")
    (root / "train.txt").write_text("out.mp4 0\nin.mp4 1\ninside.mp4 0\n")
    records = source(root, val_share=0).records("train").select(np.array([0, 1, 2]))
    with pytest.raises(
        DecodeError, match=r"out\.mp4: it is a link to .*secret\.mp4, outside of .*allow_outside_root=true"
    ):
        records.to_open(0)
    assert [records.to_open(index) for index in (1, 2)] == [str(root / "in.mp4"), str(root / "inside.mp4")]
    allowed = source(root, val_share=0, allow_outside_root=True).records("train")
    assert allowed.to_open(0) == str(root / "out.mp4")


def test_an_unknown_split_is_refused(video_folder):
    with pytest.raises(ValueError, match="a split among train, test, got 'trial'"):
        source(video_folder).records("trial")


def test_a_video_that_is_listed_twice_is_on_one_side(video_folder, tmp_path):
    (tmp_path / "train.txt").write_text(2 * (video_folder / "train.txt").read_text())
    data = source(video_folder, lists=str(tmp_path), splits={"train": "train.txt"}, val_share=0.25)
    train, val = ({bytes(path) for path in data.records(split).paths} for split in ("train", "val"))
    assert train
    assert val
    assert not train & val


def test_labels_above_num_classes_are_refused(video_folder):
    with pytest.raises(ValueError, match=r"train.txt \(data=mine, data.num_classes=1\): expected labels from 0 to 0"):
        source(video_folder, num_classes=1).records("train")


def test_the_number_of_a_split_fills_its_file_names(tmp_path):
    data = source(tmp_path, split=2, splits={"train": "train_{split}.txt"})
    assert data.splits == {"train": "train_2.txt"}


def test_lists_can_lie_elsewhere(video_folder, tmp_path):
    (tmp_path / "train.txt").write_text("class 0/video 0.mp4 0\nclass 0/video 2.mp4 0\n")
    data = source(video_folder, lists=str(tmp_path), splits={"train": "train.txt"}, val_share=0)
    data.prepare()
    assert data.records("train").path(1) == str(video_folder / "class 0/video 2.mp4")


def boxes_of(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.csv").write_text("0,4,4,20,20\n")
    return str(folder)


def test_the_foreground_is_found_if_there_are_masks(video_folder, tmp_path, caplog):
    masks = boxes_of(tmp_path, "class 0/video 8", "class 0/video 0")
    data = source(video_folder, masks=masks)
    with caplog.at_level("INFO"):
        data.prepare()
    assert "data.masks: 1 of the 4 videos of test have masks or boxes" in caplog.text
    assert "data.masks: 1 of the 4 videos of test have boxes, not masks" in caplog.text
    found = data.foreground("test", 0, [0, 3])
    assert found.shape == (2, 32, 40)
    assert found.sum() == 2 * 16 * 16
    assert data.foreground("test", 1, [0]) is None
    assert source(video_folder).foreground("test", 0, [0]) is None


def test_masks_that_match_no_video_are_refused(video_folder, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"below data.masks=.*, such as .*class 0/video 8/000001.png or .*.csv, found none"
    ):
        source(video_folder, masks=boxes_of(tmp_path, "class 0/video")).prepare()


def test_a_split_of_videos_outside_the_root_has_full_paths(video_folder, tmp_path):
    (tmp_path / "other.txt").write_text(f"{video_folder}/class 1/video 1.mp4 1\n")
    splits = {"test": "test.txt", "other": str(tmp_path / "other.txt")}
    data = source(tmp_path, lists=str(video_folder), splits=splits, allow_outside_root=True)
    data.prepare()
    assert data.records("other").path(0) == f"{video_folder}/class 1/video 1.mp4"


def test_a_list_whose_classes_are_numbered_otherwise_is_refused(video_folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "other").mkdir()
    for folder, names in (("mine", "run\nwalk\n"), ("other", "walk\nrun\n")):
        (tmp_path / folder / "classes.txt").write_text(names)
        (tmp_path / folder / "test.txt").write_text((video_folder / "test.txt").read_text())
    splits = {"test": "test.txt", "more": str(tmp_path / "other/test.txt")}
    data = source(video_folder, lists=str(tmp_path / "mine"), splits=splits)
    with pytest.raises(ValueError, match=r"got 0 for 'run' in .*mine/classes.txt and for 'walk' in .*other/classes"):
        data.prepare()
    (tmp_path / "other/classes.txt").write_text("run\nwalk\nfall\n")
    data.prepare()
