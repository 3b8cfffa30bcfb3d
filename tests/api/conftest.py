"""One untrained run for all tests of the Python API."""

import pytest

from tests.conftest import once, run_command, smallest


@pytest.fixture(scope="session")
def run(tmp_path_factory, data_dir):
    """The folder of an untrained run, the only one below the folder of `runs`."""
    import tbe.train

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TBE_DATA", str(data_dir))
            run_command(tbe.train, "train", [*smallest([]), "epochs=0"], folder / "runs" / "demo" / "first")

    return once(tmp_path_factory, "api_run", make) / "runs" / "demo" / "first"
