import numpy as np
import pytest

from tbe.data.quarantine import Fault, Quarantine, ReadableVideos
from tbe.data.records import make_records


def test_a_video_is_named_once_whoever_meets_it(tmp_path):
    one, other = (Quarantine(tmp_path / "run" / "quarantine.csv") for _ in range(2))
    one.add([Fault("a.mp4", 'could not open a.mp4: "what, ever"', "PyAV"), Fault("b.mp4", "why", "PyAV")])
    other.add([Fault("b.mp4", "why", "PyAV"), Fault("c.mp4", "two\nlines", "watchdog")])
    assert one.paths() == {"a.mp4", "b.mp4", "c.mp4"}
    lines = (tmp_path / "run" / "quarantine.csv").read_text().splitlines()
    assert lines[:2] == ["path,reason,reader", 'a.mp4,"could not open a.mp4: ""what, ever""",PyAV']
    records = make_records("", ["c.mp4", "d.mp4"], [0, 0], [0, 0])
    assert Quarantine(tmp_path / "run" / "quarantine.csv").holds(records).tolist() == [True, False]


def test_names_that_are_no_text_are_kept_as_they_are_and_logged_as_text(tmp_path, caplog):
    name = b"caf\xe9.mp4".decode("utf-8", errors="surrogateescape")
    quarantine = Quarantine(tmp_path / "quarantine.csv")
    quarantine.add([Fault(name, f"could not open {name}", "PyAV")])
    assert quarantine.paths() == {name}
    assert r"could not open caf\xe9.mp4" in caplog.text


def test_what_stood_in_for_what_is_noted(tmp_path):
    Quarantine(tmp_path / "quarantine.csv").replaced(3, [("a.mp4", "b.mp4"), ("c, d.mp4", "e.mp4")])
    assert (tmp_path / "replaced.csv").read_text() == 'epoch,path,replaced_by\n3,a.mp4,b.mp4\n3,"c, d.mp4",e.mp4\n'


def test_too_many_faults_end_the_run(tmp_path):
    quarantine = Quarantine(tmp_path / "quarantine.csv", most=0.25)
    quarantine.add([Fault(f"{number}.mp4", "why", "PyAV") for number in range(10)])
    quarantine.check(12)  # ten are never too many
    quarantine.add([Fault("10.mp4", "why", "PyAV")])
    quarantine.check(32)
    quarantine.add([Fault("11.mp4", "why", "PyAV")])
    with pytest.raises(ValueError, match=r"expected at most 25% .* got 12 of the first 45\. .*quarantine\.csv names"):
        quarantine.check(1)


@pytest.mark.parametrize("most", [-0.1, 1.5])
def test_a_share_is_between_nothing_and_all(most):
    with pytest.raises(ValueError, match=f"max_failed: expected a share from 0 to 1, got {most}"):
        Quarantine("quarantine.csv", most)


class Source:
    name = "mine"

    def records(self, split):
        return make_records("/data", ["a.mp4", "b.mp4", "c.mp4"], [0, 1, 2], [0, 0, 0])

    def foreground(self, split, index, frames):
        return np.full((len(frames), 1, 1), index == 2)


def test_measurements_are_without_what_is_in_quarantine(tmp_path):
    quarantine = Quarantine(tmp_path / "quarantine.csv")
    readable = ReadableVideos(Source(), quarantine)
    assert readable.records("train").labels.tolist() == [0, 1, 2]
    quarantine.add([Fault("/data/b.mp4", "why", "PyAV")])
    assert readable.records("train").labels.tolist() == [0, 2]
    assert readable.name == "mine"
    assert readable.foreground("train", 1, [0, 5]).all()  # the actor of c.mp4, the second that can be read
    source = Source()
    del Source.foreground
    assert not hasattr(ReadableVideos(source, quarantine), "foreground")
