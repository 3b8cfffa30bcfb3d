"""The examples of the page on the Python API, one after the other."""

import re

import torch
from torchvision.models.video import r3d_18

import tbe
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "reference" / "python-api.md").read_text(encoding="utf-8")


def test_every_example_runs(folder, capsys):
    with torch.device("meta"):
        shapes = r3d_18().state_dict()
    torch.save({name: torch.zeros(value.shape) for name, value in shapes.items()}, folder / "r3d_18_kinetics.pth")
    namespace = {}
    for example in re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE):
        exec(compile(example, "python-api.md", "exec"), namespace)
    assert namespace["readable"].tolist() == [True, True, False]
    assert "expected a choice among c3d" in capsys.readouterr().out


def test_every_public_name_has_its_reference():
    named = set(re.findall(r"^::: tbe\.(\w+)", PAGE, flags=re.MULTILINE))
    assert named == set(tbe.__all__) - {"__version__"}
