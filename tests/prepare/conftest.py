"""Fixtures of the command tests."""

import pytest

import tbe.prepare.__main__ as prepare
from tbe.data.sources.records import read_list
from tests.conftest import SHARED


@pytest.fixture
def official():
    """official("ucf101") is the folder of a data set's published files, if this machine has them."""

    def folder(name):
        place = SHARED / "annotations" / name
        if not place.is_dir():
            pytest.skip(f"needs the official files in {place} (or TBE_SHARED_DATA=<folder>)")
        return place

    return folder


@pytest.fixture
def lists(tmp_path):
    """lists("ucf101", "--annotations", folder) runs a command and returns the folder of its lists."""

    def run(command, *options):
        prepare.main([command, *map(str, options), "--out", str(tmp_path / "lists")])
        return tmp_path / "lists"

    return run


@pytest.fixture
def annotations(tmp_path):
    """annotations({"train.txt": "text"}) writes files and returns their folder; a second call changes some of them."""

    def write(files):
        for name, text in files.items():
            file = tmp_path / "annotations" / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(text.encode())
        return tmp_path / "annotations"

    return write


@pytest.fixture
def refused(lists):
    """refused("message", "ucf101", ...) checks that a command ends with this error and writes no list."""

    def run(message, command, *options):
        with pytest.raises(SystemExit, match=message):
            lists(command, *options)

    return run


@pytest.fixture
def rows():
    """rows(file) returns the content of a list file as [(path, label), ...]."""

    def read(file):
        records = read_list(file, "")
        paths = [path.decode() for path in records.paths]
        return list(zip(paths, records.labels.tolist(), strict=True))

    return read
