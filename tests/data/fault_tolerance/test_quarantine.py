import numpy as np
import pytest
import torch

from tbe.data.fault_tolerance.quarantine import Fault, Quarantine, ReadableVideos
from tbe.data.sources.base import VideoSource
from tbe.data.sources.records import make_records


def test_a_video_is_recorded_once_by_any_number_of_processes(tmp_path):
    one, other = (Quarantine(tmp_path / "run" / "quarantine.csv") for _ in range(2))
    one.add([Fault("a.mp4", 'could not open a.mp4: "what, ever"', "PyAV"), Fault("b.mp4", "why", "PyAV")])
    other.add([Fault("b.mp4", "why", "PyAV"), Fault("c.mp4", "two\nlines", "watchdog")])
    assert one.paths() == {"a.mp4", "b.mp4", "c.mp4"}
    lines = (tmp_path / "run" / "quarantine.csv").read_text().splitlines()
    assert lines[:2] == ["path,reason,reader", 'a.mp4,"could not open a.mp4: ""what, ever""",PyAV']
    records = make_records("", ["c.mp4", "d.mp4"], [0, 0], [0, 0])
    assert Quarantine(tmp_path / "run" / "quarantine.csv").holds(records).tolist() == [True, False]


def test_undecodable_names_are_kept_and_logged_escaped(tmp_path, caplog):
    name = b"caf\xe9.mp4".decode("utf-8", errors="surrogateescape")
    quarantine = Quarantine(tmp_path / "quarantine.csv")
    quarantine.add([Fault(name, f"could not open {name}", "PyAV")])
    assert quarantine.paths() == {name}
    assert r"could not open caf\xe9.mp4" in caplog.text


def test_replacements_are_recorded(tmp_path):
    Quarantine(tmp_path / "quarantine.csv").replaced(3, [("a.mp4", "b.mp4"), ("c, d.mp4", "e.mp4")])
    assert (tmp_path / "replaced.csv").read_text() == 'epoch,path,replaced_by\n3,a.mp4,b.mp4\n3,"c, d.mp4",e.mp4\n'


def test_too_many_faults_end_the_run(tmp_path):
    quarantine = Quarantine(tmp_path / "quarantine.csv", max_failed=0.25)
    quarantine.add([Fault(f"{number}.mp4", "why", "PyAV") for number in range(10)])
    quarantine.check(12)  # ten are never too many
    quarantine.add([Fault("10.mp4", "why", "PyAV")])
    quarantine.check(32)
    quarantine.add([Fault("11.mp4", "why", "PyAV")])
    with pytest.raises(ValueError, match=r"expected at most 25% .* got 12 of the first 45\. .*quarantine\.csv lists"):
        quarantine.check(1)


@pytest.mark.parametrize("most", [-0.1, 1.5])
def test_max_failed_outside_zero_to_one_is_refused(most):
    with pytest.raises(ValueError, match=f"max_failed: expected a share from 0 to 1, got {most}"):
        Quarantine("quarantine.csv", most)


class Numbered(VideoSource):
    """A source whose annotations of a video are all its number."""

    name = "mine"
    num_classes = 9
    class_names = tuple("abcdefghi")

    def prepare(self):
        raise NotImplementedError("prepared")

    def has(self, split):
        return split == "train"

    def records(self, split):
        numbers = list(range(9))
        return make_records("/data", [f"{number}.mp4" for number in numbers], numbers, numbers)

    def scenes(self, split):
        return torch.arange(9)

    def groups(self, split):
        return torch.arange(9)

    def foreground(self, split, index, frames):
        return np.full((len(frames), 1, 1), index)

    def labelings(self):
        return {"number": self, "again": self}


def check_aligned(source, split):
    """Checks that all annotations of a video are equal to its label."""
    records = source.records(split)
    for place, number in enumerate(records.labels.tolist()):
        assert records.path(place) == f"/data/{number}.mp4"
        assert records.num_frames[place] == number
        assert (source.foreground(split, place, [0, 5]) == number).all()
    assert source.scenes(split).tolist() == source.groups(split).tolist() == records.labels.tolist()
    return records.labels.tolist()


@pytest.mark.parametrize("seed", range(8))
def test_annotations_stay_with_their_video_whichever_are_unreadable(tmp_path, seed):
    unreadable = np.random.default_rng(seed).permutation(9)[:seed]
    quarantine = Quarantine(tmp_path / "quarantine.csv")
    quarantine.add([Fault(f"/data/{number}.mp4", "why", "PyAV") for number in unreadable])
    readable = ReadableVideos(Numbered(), quarantine)
    expected = sorted(set(range(9)) - set(unreadable.tolist()))
    assert check_aligned(readable, "train") == expected
    assert [check_aligned(source, "train") for source in readable.labelings().values()] == [expected] * 2
    quarantine.add([Fault("/data/8.mp4", "found while others are measured", "PyAV")])
    assert check_aligned(readable, "train") == expected


def test_a_source_without_unreadable_videos_is_forwarded_unchanged(tmp_path):
    readable = ReadableVideos(Numbered(), Quarantine(tmp_path / "quarantine.csv"))
    interface = {name for name in vars(VideoSource) if not name.startswith("_")}
    assert interface <= set(vars(ReadableVideos)), "what is not forwarded says the default"
    assert (readable.name, readable.num_classes, readable.class_names) == ("mine", 9, tuple("abcdefghi"))
    assert (readable.has("train"), readable.has("val")) == (True, False)
    assert list(readable.labelings()) == ["number", "again"]
    with pytest.raises(NotImplementedError, match="prepared"):
        readable.prepare()


def test_a_split_without_a_readable_video_is_refused(tmp_path):
    quarantine = Quarantine(tmp_path / "quarantine.csv")
    quarantine.add([Fault(f"/data/{number}.mp4", "why", "PyAV") for number in range(9)])
    with pytest.raises(ValueError, match=r"data=mine: expected readable videos in train, got none: .*csv lists all 9"):
        ReadableVideos(Numbered(), quarantine).records("train")


class Least(VideoSource):
    """The minimum that a custom source must define."""

    name = "least"
    num_classes = 1

    def has(self, split):
        return split == "train"

    def records(self, split):
        return make_records("/data", ["a.mp4", "b.mp4"], [0, 0], [0, 0])


def test_a_custom_source_needs_only_its_splits(tmp_path):
    quarantine = Quarantine(tmp_path / "quarantine.csv")
    quarantine.add([Fault("/data/a.mp4", "why", "PyAV")])
    for source in (Least(), ReadableVideos(Least(), quarantine)):
        source.prepare()
        assert source.class_names is None
        assert source.scenes("train") is None
        assert source.foreground("train", 0, [0]) is None
        assert [type(found) for found in source.labelings().values()] == [type(source)]


@pytest.mark.parametrize("root", ["/r", "/r/", "s3://bucket/r", ""])
def test_videos_are_found_in_the_quarantine_wherever_they_lie(tmp_path, root):
    records = make_records(root, ["a b.mp4", "x/b.mp4", "/other/c.mp4", "./d.mp4", "b.mp4"], [0] * 5, [0] * 5)
    quarantine = Quarantine(tmp_path / "quarantine.csv")
    assert not quarantine.holds(records).any()
    quarantine.add([Fault(records.path(number), "why", "PyAV") for number in (0, 2, 3)])
    quarantine.add([Fault("/elsewhere/b.mp4", "why", "PyAV")])
    assert quarantine.holds(records).tolist() == [True, False, True, True, False]
