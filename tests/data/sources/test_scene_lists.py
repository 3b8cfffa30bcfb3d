import pytest

from tbe.data.sources import VideoLists
from tbe.data.sources.base import VideoSource


@pytest.fixture
def source(tmp_path):
    """source({"train.txt": text}) is a set of four videos, whose scenes are in these files."""

    def make(scenes):
        (tmp_path / "train.txt").write_text("a.mp4 0\nb.mp4 1\nc.mp4 0\nd.mp4 1\n")
        (tmp_path / "scenes").mkdir()
        for name, text in scenes.items():
            (tmp_path / "scenes" / name).write_text(text)
        splits = {"train": "train.txt"}
        return VideoLists("some", str(tmp_path), splits, num_classes=2, val_share=0.5, scenes="{root}/scenes")

    return make


def test_scenes_are_found_by_path_also_of_what_is_held_out(source):
    found = source({"train.txt": "d.mp4 3\nc.mp4 2\nb.mp4 1\na.mp4 0\nmore.mp4 9\n"})
    for split in ("train", "val"):
        records = found.records(split)
        assert [f"{'abcd'[scene]}.mp4".encode() for scene in found.scenes(split)] == list(records.paths)
    assert found.labelings()["scene"].num_classes == 4
    assert found.labelings()["scene"].class_names is None


@pytest.mark.parametrize(
    ("scenes", "message"),
    [
        ({}, r"scenes/train.txt: expected the list of scenes, got no such file"),
        ({"train.txt": "a.mp4 0\nb.mp4 1\n"}, r"expected the scene of each video of train.txt, got none of '[cd].mp4'"),
    ],
)
def test_scenes_that_are_not_there_are_named(source, scenes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        found = source(scenes)
        found.scenes("train"), found.scenes("val")


def test_classes_are_counted_by_their_names(tmp_path):
    some = VideoLists("some", str(tmp_path), {"train": "train.txt"}, num_classes=None)
    with pytest.raises(FileNotFoundError, match=r"classes.txt: expected the names of the classes, got none"):
        _ = some.num_classes
    (tmp_path / "classes.txt").write_text("jump\nwalk\n")
    assert some.num_classes == 2
    (tmp_path / "classes.txt").write_text("jump\n\nwalk\n\n")
    assert (some.num_classes, some.class_names) == (2, ["jump", "walk"])
    assert some.class_names == ["jump", "walk"]


@pytest.fixture
def of_csv(tmp_path):
    """of_csv(text) is a set of four videos, two of them in both lists, whose scenes are in this CSV."""
    (tmp_path / "train.txt").write_text("a.mp4 0\nb.mp4 1\nc.mp4 0\nd.mp4 1\n")
    (tmp_path / "test.txt").write_text("d.mp4 1\na.mp4 0\n")

    def make(text):
        (tmp_path / "scenes.csv").write_text(text)
        splits = {"train": "train.txt", "test": "test.txt"}
        return VideoLists("some", str(tmp_path), splits, num_classes=2, val_share=0, scenes="{root}/scenes.csv")

    return make


def test_scenes_of_a_csv_are_names_of_all_videos(of_csv):
    found = of_csv("path,light,scene\na.mp4,day,street\nb.mp4,day,hall\nc.mp4,day,gym\nd.mp4,night,street\n")
    assert found.scenes("train").tolist() == [2, 1, 0, 2]
    assert found.scenes("test").tolist() == [2, 2]
    assert found.labelings()["scene"].class_names == ["gym", "hall", "street"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,place\na.mp4,x\n", "expected a head with path and scene, got path, place"),
        ("path,scene\na.mp4,x\na.mp4,y\n", "scenes.csv:3: expected one scene for each video, got x and y for 'a.mp4'"),
        ("path,scene\na.mp4,\n", "scenes.csv:2: expected one scene for each video, got none for 'a.mp4'"),
        ("path,scene\na.mp4,x\n", r"expected the scene of each of 4 videos, got none of 'b.mp4' \(3 such\)"),
    ],
)
def test_a_csv_that_lacks_scenes_is_refused(text, message, of_csv):
    with pytest.raises(ValueError, match=message):
        of_csv(text).scenes("train")


def test_a_source_of_before_is_told_the_present_name_of_a_method():
    with pytest.raises(ValueError, match="^Mine: labellings is now labelings: rename the method"):
        type("Mine", (VideoSource,), {"labellings": lambda self: {}})


def test_a_list_that_lies_elsewhere_has_the_scenes_of_its_name_and_else_none_but_never_its_labels(source, tmp_path):
    found = source({"train.txt": "a.mp4 3\nb.mp4 2\nc.mp4 1\nd.mp4 0\n", "known.txt": "b.mp4 2\n"})
    for name in ("known", "unknown"):
        (tmp_path / "more").mkdir(exist_ok=True)
        (tmp_path / "more" / f"{name}.txt").write_text("b.mp4 1\n")
        found.splits[name] = str(tmp_path / "more" / f"{name}.txt")
    assert found.scenes("known").tolist() == [2]
    assert found.scenes("unknown") is None
    assert found.labelings()["scene"].num_classes == 4
