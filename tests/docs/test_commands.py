"""Commands that the documentation shows are ones: a shell reads them as they are meant, and Hydra composes them."""

import re
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tbe.launch.cli import quote_list_option
from tests.conftest import ROOT, composed

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += [page for part in ("docs", "results", "benchmarks") for page in (ROOT / part).rglob("*.md")]
COMMAND = re.compile(r"\b(train|eval)\.py ([^\n`]*)")
ENDS = ("&&", "||", "|", ";", "or")
OF_GUIDES = ("backbone=one_convolution", "method=batch_contrast")  # which the reader adds
QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


def commands(text):
    """Yields the name and the rest of the line of each `python train.py ...` and `python eval.py ...`."""
    text = re.sub(r"<[^>\n]*>", "PLACEHOLDER", text.replace("\\\n", " "))
    for found in COMMAND.finditer(text):
        yield found[1], re.sub(r"\s#.*", "", f"{found[2]} #")


def overrides_of(line):
    """The overrides in a line as a shell splits it, without what is for Hydra itself; of a sweep, those of one run."""
    words = shlex.split(line)
    words = words[: next((place for place, word in enumerate(words) if word in ENDS), len(words))]
    words = [quote_list_option(word) for word in words if "=" in word or word.startswith("~")]
    words = [word for word in words if not word.startswith(("hydra", "PLACEHOLDER=", "-")) and word not in OF_GUIDES]
    words = [word for word in words if not re.fullmatch(r"(experiment|method|be)=PLACEHOLDER", word)]
    parsed = OverridesParser.create().parse_overrides(words)
    return [
        f"{part.key_or_group}={next(part.sweep_string_iterator())}" if part.is_sweep_override() else part.input_line
        for part in parsed
    ]


def test_no_shell_takes_an_argument_for_a_pattern_of_file_names():
    """A bare bracket ends a command of zsh before it starts, and bash takes quotes within one away."""
    bare = [
        (page.relative_to(ROOT).as_posix(), line)
        for page in [*PAGES, *(ROOT / "configs").rglob("*.yaml")]
        for _, line in commands(page.read_text(encoding="utf-8"))
        if re.search(r"=[^\s]*[\[{*?]|(?:^|\s)~", QUOTED.sub("", line))
    ]
    assert bare == []


def test_bare_brackets_are_found():
    (_, line) = next(commands("python eval.py task=[a,b] 'x={c:1}'  # words [c]"))
    assert re.search(r"=[^\s]*[\[{*?]", QUOTED.sub("", line))
    assert overrides_of(line) == ["task=[a,b]", "x={c:1}"]
    assert overrides_of("-m be.ratio=0.1,0.3 seeds=1,2 hydra/launcher=joblib || b=1") == ["be.ratio=0.1", "seeds='1,2'"]


@pytest.mark.parametrize("name", ["train", "eval"])
def test_commands_of_the_documentation_compose(name):
    found = {line: page for page in PAGES for command, line in commands(page.read_text("utf-8")) if command == name}
    failed = {}
    for line, page in found.items():
        try:
            composed(name, *overrides_of(line), run_dir=".")
        except Exception as error:
            failed[f"{page.relative_to(ROOT)}: {name}.py {line}"] = str(error).splitlines()[0]
    assert len(found) > 30
    assert failed == {}
