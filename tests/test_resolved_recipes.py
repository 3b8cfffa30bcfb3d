"""What a recipe trains stays when its settings move: resolved_recipes.json holds the objects of version 0.1."""

import json
from pathlib import Path

import pytest

from tbe.checkpoints.moved_names import with_present_names
from tbe.config import plain
from tests.conftest import ROOT, composed, differing

BEFORE = json.loads(Path(__file__).with_name("resolved_recipes.json").read_text())


@pytest.mark.parametrize("experiment", BEFORE)
def test_a_recipe_trains_with_the_same_objects_as_before(experiment, monkeypatch):
    monkeypatch.setenv("TBE_DATA", "DATA")
    now = json.dumps(plain(composed("train", f"experiment={experiment}", run_dir="RUN")))
    assert differing(with_present_names(BEFORE[experiment]), json.loads(now.replace(str(ROOT), "ROOT"))) == {}
