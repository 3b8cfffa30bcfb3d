"""The notebooks, cell by cell, with settings that take seconds."""

import re

import matplotlib.pyplot as plt
import pytest

from tests.conftest import ROOT

NOTEBOOKS = ROOT / "docs" / "notebooks"
SMALL = {
    "erase_and_look": {"NUM_VIDEOS": 2},
    "pretrain_and_probe": {"NUM_TRAIN": 16, "NUM_TEST": 8, "EPOCHS": 1, "BATCH_SIZE": 8, "WIDTHS": [4, 8, 8, 8]},
    "your_own_videos": {"FOLDER": "{videos}", "NUM_CLIPS": 1},
}
PICTURES = {
    "erase_and_look": {"erased.png", "motion.png"},
    "pretrain_and_probe": {"losses.png", "probe.png"},
    "your_own_videos": {"neighbors.png", "map.png"},
}


def cells_of(notebook):
    """The code cells of a notebook in the percent format: whether each is that of the parameters, and its code."""
    for cell in re.split(r"^# %%", notebook.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, code = cell.partition("\n")
        if "[markdown]" not in head:
            yield "parameters" in head, code


@pytest.mark.parametrize("name", sorted(file.stem for file in NOTEBOOKS.glob("*.py")))
def test_a_notebook_runs_and_draws(name, folder, video_folder):
    namespace = {"__name__": "__main__"}
    changed = {key: str(video_folder) if value == "{videos}" else value for key, value in SMALL[name].items()}
    for is_parameters, code in cells_of(NOTEBOOKS / f"{name}.py"):
        exec(compile(code, f"{name}.py", "exec"), namespace)
        if is_parameters:
            assert changed.keys() <= namespace.keys()
            namespace.update(changed)
    plt.close("all")
    assert {file.name for file in folder.glob("*.png")} == PICTURES[name]


def test_all_notebooks_are_linked(folder):
    page = (ROOT / "docs" / "reference" / "python-api.md").read_text(encoding="utf-8")
    for name in SMALL:
        assert f"../notebooks/{name}.py" in page
