"""The common command line, and its commands as named in the configs."""

import re

import pytest

import tbe.prepare.__main__ as prepare
from tests.conftest import ROOT, composed

CONFIGS = sorted(file.stem for file in (ROOT / "configs" / "data").glob("*.yaml"))


@pytest.mark.parametrize("name", prepare.COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as finished:
        prepare.main([name, "--help"])
    assert finished.value.code == 0
    first_line = prepare.COMMANDS[name].__doc__.splitlines()[0]
    assert first_line.split()[0] in capsys.readouterr().out


@pytest.mark.parametrize("name", prepare.DATASETS)
def test_every_data_set_has_a_config_that_names_its_command(name, tmp_path):
    how = composed("train", f"data={name}", run_dir=tmp_path).data.how_to_get_lists
    python, module, package, command, *options = re.sub("<.*?>", "somewhere", how).split()
    assert [python, module, package, command] == ["python", "-m", "tbe.prepare", name]
    prepare.DATASETS[name].add_arguments(parser := prepare.argparse.ArgumentParser())
    assert parser.parse_args(options).out.name == "somewhere"
