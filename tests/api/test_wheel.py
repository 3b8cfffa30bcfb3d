"""What `pip install` of the wheel gives, away from the repository."""

import os
import subprocess
import sys
import zipfile
from importlib import import_module

import pytest

from tbe.__main__ import COMMANDS, VARIABLE, main
from tests.conftest import NARROW, ROOT, SMALL

# In a process that finds the wheel before the checkout: builds, trains for a step, loads and embeds.
PROGRAM = """
import runpy, sys
from pathlib import Path

import tbe

target, video, *overrides = sys.argv[1:]
assert Path(tbe.__file__).is_relative_to(target), tbe.__file__
assert tbe.build("backbone", "r3d_18", width=8).num_features == 64

sys.argv = [f"{target}/bin/tbe", "train", *overrides]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    assert not ended.code, ended.code

features = tbe.embed(tbe.load("latest"), video, num_clips=1)
assert features.isfinite().all()
elsewhere = [module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "tbe"]
assert all(Path(file).is_relative_to(target) for file in elsewhere), elsewhere
print("features:", tuple(features.shape))
"""


@pytest.mark.slow
def test_the_wheel_alone_trains_loads_and_embeds(tmp_path, monkeypatch, data_dir, video_folder):
    build = pytest.importorskip("hatchling.build", reason="the wheel is built by hatchling: pip install hatchling")
    monkeypatch.chdir(ROOT)
    wheel = tmp_path / build.build_wheel(str(tmp_path))
    target = tmp_path / "installed"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, *install, "--target", target, wheel], check=True)
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith(".py")}
    assert {"tbe/py.typed", "tbe/configs/train.yaml"} <= names
    assert {path.name for path in (target / "bin").iterdir()} == {"tbe", *(f"tbe-{name}" for name in COMMANDS)}

    video = next(video_folder.rglob("*.mp4"))
    step = ["epochs=1", "trainer=cpu", "+trainer.limit_train_batches=1", "+trainer.limit_val_batches=0"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, target, video, *SMALL, *NARROW, *step],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stdout.splitlines()[-1] == "features: (1, 8)"


def test_one_command_starts_all_others(monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, "")  # restored after the test
    for name, (_, module, function) in COMMANDS.items():
        started = []
        monkeypatch.setattr(import_module(module), function, lambda: started.append(sys.argv[1:]))  # noqa: B023
        monkeypatch.setattr(sys, "argv", ["tbe", name, "epochs=2"])
        main()
        assert started == [["epochs=2"]]
        # As Lightning starts a second process: with the same arguments, and the configs of the first.
        monkeypatch.setattr(sys, "argv", ["tbe", "epochs=2"])
        with monkeypatch.context() as patch:
            patch.setenv("LOCAL_RANK", "1")
            patch.setenv("TBE_STAGES", '["config.yaml"]')
            main()
        assert started == [["epochs=2"]] * 2
    monkeypatch.setattr(sys, "argv", ["tbe"])
    main()
    assert capsys.readouterr().out.startswith("usage: tbe <command>")
    monkeypatch.setattr(sys, "argv", ["tbe", "trian"])
    with pytest.raises(SystemExit, match="expected a command among train, eval, .*, got 'trian'"):
        main()
