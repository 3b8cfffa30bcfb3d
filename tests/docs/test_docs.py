"""What the documentation shows is true: its examples run, and its generated page has all groups."""

import importlib.util
import re

import pytest
import torch

from tbe.methods.encoder import Encoder
from tests.conftest import ROOT
from tests.methods.networks import Mean

spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
hooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hooks)


def example(page):
    """The names that the first Python example of a guide defines."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "guides" / page).read_text(encoding="utf-8"), re.S)[1]
    scope = {}
    exec(code, scope)
    return scope


def test_the_method_of_the_guide_compares_a_batch():
    method = example("add-a-method.md")["BatchContrast"](Encoder(Mean(), dim=8, mlp=True))
    assert method.views == ("query", "key")
    positives, negatives = method(*torch.rand(2, 2, 3, 4, 16, 16))
    assert positives.shape == (2,)
    assert negatives.shape == (2, 1)
    (positives.sum() + negatives.sum()).backward()


def test_the_backbone_of_the_guide_gives_features():
    network = example("add-a-backbone.md")["OneConvolution"]()
    assert network(torch.rand(2, 3, 4, 16, 16)).shape == (2, network.num_features)
    with pytest.raises(ValueError, match="expected 3 channels"):
        network(torch.rand(2, 2, 4, 16, 16))


def test_every_group_and_choice_is_in_the_reference():
    page = hooks.configuration(ROOT / "configs")
    for file in (ROOT / "configs").glob("*/[!_]*.yaml"):
        assert f"## `{file.parent.name}`" in page
        assert f"| `{file.stem}` |" in page


def test_a_choice_is_described_by_the_first_sentence_of_its_comment():
    assert (
        hooks._summary("# @package _global_\n# One | two: three. Four\n#   python train.py\na: 1\n")
        == "One \\| two: three."
    )
    assert hooks._summary("a: 1  # no comment\n") == ""


def test_a_notebook_becomes_text_and_code():
    text = hooks.notebook("# %% [markdown]\n# # Title\n# words\n\n# %%\nprint(1)\n")
    assert text == "# Title\nwords\n\n```python\nprint(1)\n```\n"
