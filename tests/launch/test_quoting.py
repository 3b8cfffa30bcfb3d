"""Words that a command prints: pasted into a shell and read by Hydra they mean the same text again."""

import shlex
import subprocess
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import tbe.train
from tbe.launch.quoting import override
from tbe.training.callbacks.preemption import Interrupted

TEXTS = [
    "runs/demo/2026-01-02_03-04-05/checkpoints/last.ckpt",
    "José",
    "日本語 e\u0301",
    "a, b",
    "take=1",
    "(new)",
    "[new]",
    "{a: b}",
    "it's",
    'say "hi"',
    "'quoted'",
    '"',
    "\\",
    "a\\",
    "a\\\\",
    'a\\"b',
    'a\\\\"',
    "C:\\new\\table",
    "$HOME",
    "${x}",
    "\\${x}",
    "\\\\${oc.env:HOME}",
    "${x}\\",
    "a$",
    "`date`",
    "!!",
    "two\nlines",
    "tab\there",
    "",
    " ",
    " a ",
    "-leading",
    "--help",
    "+plus",
    "~/home",
    "#comment",
    "*?",
    "10",
    "1e3",
    ".5",
    "-1",
    "True",
    "null",
    "NaN",
    "inf",
    "a:b",
    "%05d.jpg",
    "a;b|c&d>e<f",
    "x.interp(1)",
]


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_a_printed_override_sets_the_text_again(text):
    assert read(shlex.split(f"python train.py {override('data.root', text)}")[2:]) == text


def test_a_shell_reads_the_words_as_shlex_does():
    command = "printf '%s\\0' " + " ".join(override("data.root", text) for text in TEXTS)
    said = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout.decode()
    assert [read([word]) for word in said.split("\0")[:-1]] == TEXTS


def test_a_plain_path_stays_as_it_is():
    assert override("resume", "runs/demo/last.ckpt") == "resume=runs/demo/last.ckpt"


def test_a_run_that_is_stopped_says_how_to_go_on_with_it(tmp_path, capsys):
    last = tmp_path / "José's (new) run, take=1" / "last.ckpt"
    last.parent.mkdir()
    last.touch()
    config, trainer = {"run_dir": str(tmp_path), "init_from": None}, SimpleNamespace(is_global_zero=True)
    with pytest.raises(SystemExit), tbe.train.exit_with_resume_hint(config, trainer):
        raise Interrupted(str(last))
    said = capsys.readouterr().out.splitlines()[0]
    assert read(shlex.split(said.partition(" with ")[2]), "resume") == str(last)


def test_a_stopped_run_that_followed_another_goes_on_by_the_command_of_both(tmp_path, capsys):
    first, second = (folder / "checkpoints" / "last.ckpt" for folder in (tmp_path, tmp_path / "finetune"))
    first.parent.mkdir()
    first.touch()
    config = {"run_dir": str(tmp_path / "finetune"), "init_from": str(first)}
    with pytest.raises(SystemExit), tbe.train.exit_with_resume_hint(config, SimpleNamespace(is_global_zero=True)):
        raise Interrupted(str(second))
    assert f"with resume={first}" in capsys.readouterr().out


def read(words, key="data.root"):
    """What the config holds once Hydra has read these words."""
    parsed = OverridesParser.create().parse_overrides(words)
    assert [part.key_or_group for part in parsed] == [key]
    return OmegaConf.create({"value": parsed[0].value()}).value
