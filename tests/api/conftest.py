"""One untrained run for all tests of the Python API, and a folder as its documentation has it."""

import shutil

import matplotlib
import pytest

from tests.conftest import _files_read_once, _names_resolved_where_there_are, once, run_command, smallest


@pytest.fixture(autouse=True)
def _composing_fast():
    with _files_read_once(), _names_resolved_where_there_are():
        yield


@pytest.fixture(scope="session")
def run(tmp_path_factory, data_dir):
    """The folder of an untrained run, the only one below the folder of `runs`."""
    import tbe.train

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TBE_DATA", str(data_dir))
            run_command(tbe.train, "train", [*smallest([]), "epochs=0"], folder / "runs" / "demo" / "first")

    return once(tmp_path_factory, "api_run", make) / "runs" / "demo" / "first"


@pytest.fixture
def folder(run, video_folder, tmp_path, monkeypatch):
    """The folder that a reader of the documentation works in, with a run and videos."""
    matplotlib.use("Agg")
    shutil.copytree(run, tmp_path / "runs" / "demo" / "first")
    (tmp_path / "videos").mkdir()
    for name, video in zip(("jump", "run"), sorted(video_folder.rglob("*.mp4")), strict=False):
        shutil.copyfile(video, tmp_path / "videos" / f"{name}.mp4")
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video")
    monkeypatch.chdir(tmp_path)
    return tmp_path
