import pytest

import tbe.prepare.__main__ as prepare
from tbe.data.sources.records import read_list
from tbe.prepare.datasets.weizmann import person_of


@pytest.fixture
def videos(tmp_path):
    for action in ("run", "walk"):
        for person in ("ann", "bob", "cem", "dee"):
            (tmp_path / action).mkdir(exist_ok=True)
            (tmp_path / action / f"{person}_{action}.avi").touch()
    (tmp_path / "walk" / "ann_walk2.avi").touch()
    return tmp_path


def people(folder, split):
    return {person.split(b"/")[1].split(b"_")[0].decode() for person in read_list(folder / f"{split}.txt", "").paths}


def test_the_last_persons_are_held_out(videos, tmp_path):
    prepare.main(["weizmann", "--root", str(videos), "--out", str(tmp_path / "lists")])
    assert [people(tmp_path / "lists", split) for split in ("train", "val", "test")] == [
        {"ann"},
        {"bob"},
        {"cem", "dee"},
    ]
    assert len(read_list(tmp_path / "lists" / "train.txt", "")) == 3
    assert (tmp_path / "lists" / "classes.txt").read_text().split() == ["run", "walk"]


def test_persons_can_be_named(videos, tmp_path):
    options = ["--test-persons", "ann", "--val-persons", "dee"]
    prepare.main(["weizmann", "--root", str(videos), "--out", str(tmp_path / "lists"), *options])
    assert people(tmp_path / "lists", "test") == {"ann"}
    assert people(tmp_path / "lists", "train") == {"bob", "cem"}


def test_each_person_is_held_out_in_turn(videos, tmp_path):
    prepare.main(["weizmann", "--root", str(videos), "--out", str(tmp_path / "lists"), "--folds"])
    everyone = {"ann", "bob", "cem", "dee"}
    for number, person in enumerate(sorted(everyone), start=1):
        fold = tmp_path / "lists" / f"fold_{number}"
        assert people(fold, "test") == {person}
        assert people(fold, "train") == everyone - {person}
        assert not (fold / "val.txt").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--test-persons", "eve"], "expected persons among ann, bob, cem, dee, got 'eve'"),
        (["--folds", "--test-persons", "ann"], "expected --folds or named persons, got both"),
        (["--test-persons", "ann", "--val-persons", "ann"], "different persons for val and test, got ann in both"),
    ],
)
def test_impossible_splits_are_refused(videos, tmp_path, options, message):
    with pytest.raises(SystemExit, match=message):
        prepare.main(["weizmann", "--root", str(videos), "--out", str(tmp_path / "lists"), *options])


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="expected videos <class>/<person>_<class>.avi, found none"):
        prepare.main(["weizmann", "--root", str(tmp_path)])


def test_a_second_take_belongs_to_its_person(videos):
    assert person_of(videos / "walk" / "ann_walk2.avi") == "ann"
