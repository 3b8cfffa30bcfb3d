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


def test_links_of_mirrored_pages_lead_to_the_pages_of_the_site():
    assert hooks.mirrored("[a](../docs/guides/audit.md#b) [c](docs/index.md) [d](recipes.md)") == (
        "[a](../guides/audit.md#b) [c](index.md) [d](recipes.md)"
    )


def test_links_of_pages_lead_to_files_of_the_repository_and_to_pages_of_the_site():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    pages += [page for part in ("docs", "results", "benchmarks") for page in (ROOT / part).rglob("*.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not link.startswith(("http", "mailto"))
    ]
    assert len(links) > 100
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []
    assert hooks.led_to_site("[a](../../results/x.md#y) [b](../../configs/) [c](../notebooks/d.py) [e](f.md)", 1) == (
        "[a](../results/x.md#y) [b](../reference/configuration.md) [c](../notebooks/d.md) [e](f.md)"
    )
    assert hooks.led_to_site("![a](../results/x.png) [b](guides/f.md)", 0) == "![a](results/x.png) [b](guides/f.md)"


def test_a_warning_fails_the_site():
    """With --quiet mkdocs counts none, and --strict lets all pass."""
    build = [line for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if "mkdocs build" in line]
    assert build
    assert all("--strict" in line and "--quiet" not in line for line in build)


def test_a_notebook_becomes_text_and_code():
    text = hooks.notebook("# %% [markdown]\n# # Title\n# words\n\n# %%\nprint(1)\n")
    assert text == "# Title\nwords\n\n```python\nprint(1)\n```\n"


def expanded(name):
    """The names that a table abbreviates: `{a,b}` for either, `[c]` for with and without."""
    if found := re.search(r"\{([^}]*)\}|\[([^]]*)\]", name):
        choices = found[1].split(",") if found[1] else ["", found[2]]
        return [full for choice in choices for full in expanded(name[: found.start()] + choice + name[found.end() :])]
    return [name]


def test_the_recipes_of_the_table_are_there_and_all_pretraining_recipes_are_in_it():
    table = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8").partition("\n## ")[0]
    rows = [line.split("|")[2:4] for line in table.splitlines() if line.startswith("| ")]
    pretraining = {name for row, _ in rows for code in re.findall(r"`([^`]*)`", row) for name in expanded(code)}
    tuning = {name for _, row in rows for code in re.findall(r"`([a-z][^`]*)`", row) for name in expanded(code)}
    there = {file.stem for file in (ROOT / "configs" / "experiment").glob("*.yaml")}
    assert pretraining | tuning <= there
    bases = {"kinetics", "ucf101", "hmdb51", "hmdb51_c3d", "diving48", "something_v1", "something_v2"}
    bases |= {f"{name}_released" for name in bases}
    others = ("none", "proof", "finetune", "linear", "scratch")
    assert {name for name in there - bases if not any(other in name for other in others)} == pretraining


@pytest.mark.parametrize(("group", "title"), [("be", "## Distractors"), ("variant", "## Variants")])
def test_every_distractor_and_variant_is_in_its_table(group, title):
    text = (ROOT / "docs" / "concepts" / "background-erasing.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text.partition(title)[2].partition("\n## ")[0], re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    files = {file.stem for file in (ROOT / "configs" / group).glob("[!_]*.yaml")}
    assert named - {"none"} == files - {"none"}


def test_commands_that_pages_and_configs_name_are_there():
    pages = [ROOT / "README.md", *(ROOT / "configs").rglob("*.yaml")]
    pages += [page for part in ("docs", "results", "benchmarks") for page in (ROOT / part).rglob("*.md")]
    named = {
        (module.rstrip("."), page.name)
        for page in pages
        for module in re.findall(r"python -m ((?:tbe|benchmarks)[\w.]*)", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    files = {pair: ROOT / pair[0].replace(".", "/") for pair in named}
    assert [
        pair
        for pair, file in files.items()
        if not (file / "__main__.py").exists() and not file.with_suffix(".py").exists()
    ] == []
