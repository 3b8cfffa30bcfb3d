"""What the tests share: small real videos, a small embedded data set, and training in this process."""

import functools
import gc
import os
import pickle
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("WANDB_MODE", "offline")

import av
import numpy as np
import pytest
import torch

from tests.fork_server import Program

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("TBE_SHARED_DATA", ROOT.parent / "shared" / "data"))

_READ = {}

# A data set and a run so small that a command takes seconds.
SMALL = [
    "data.num_train=32",
    "data.num_val=16",
    "data.num_test=16",
    "data.num_actions=4",
    "data.num_scenes=4",
    "data.size=32",
    "data.num_frames=16",
    "batch_size=8",
    "datamodule.num_workers=0",
]
# Of the network `tiny` a fraction, and as little else as can be: a run takes half as long.
NARROW = ["backbone.widths=[4,8,8,8]", "contrastive.queue_size=16", "datamodule.val_limit=8"]


def pytest_addoption(parser):
    parser.addoption("--gpu", action="store_true", help="let the tests see the GPUs of this machine, for -m gpu")
    parser.addoption("--elastic", action="store_true", help="lose a machine of an elastic run, which takes a minute")
    parser.addoption("--matrix", metavar="FILE", help="run the whole matrix of methods and backbones, and tabulate it")


def pytest_configure(config):
    if not config.getoption("--gpu"):  # or a run of a test would take the GPU where it expects the CPU
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    # The first gradient decides whether autograd has threads of its own, with which a process can't be forked any more.
    # It would, after a test that pretends a GPU.
    torch.ones(1, requires_grad=True).sum().backward()


def pytest_runtest_setup(item):
    torch.set_num_threads(1)  # a test before may have left more: sums differ, and a fork waits for threads it lacks
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU, and to see it: make test-gpu")


def pytest_collection_finish(session):
    gc.freeze()  # what is imported by now stays: collections need not look through it


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Where the embedded data set is drawn once for all tests."""
    return once(tmp_path_factory, "data", lambda folder: None)


@pytest.fixture(autouse=True)
def _folders(monkeypatch, tmp_path, data_dir):
    monkeypatch.setenv("TBE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TBE_DATA", str(data_dir))
    for name in ("LOCAL_RANK", "WORLD_SIZE", "TBE_STAGES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _settings_of_torch():
    """Begins each test with PyTorch's own settings, whatever a test or its Trainer has set in this process."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_float32_matmul_precision("highest")
        sys.modules["torch"].backends.cudnn.benchmark = False


@pytest.fixture(scope="session")
def shared_clips():
    """Single clips of public data sets, where this machine has them."""
    return _shared("clips")


@pytest.fixture(scope="session")
def weizmann_root():
    """The Weizmann actions, where this machine has them."""
    return _shared("weizmann")


@pytest.fixture(scope="session")
def odd_videos():
    """Small files on which readers went wrong, where this machine has them."""
    return _shared("odd_videos")


def _shared(name):
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs the real videos in {folder} (or TBE_SHARED_DATA=<folder>)")
    return folder


def once(tmp_path_factory, name, make):
    """The folder that `make(folder)` has filled, once for all workers of pytest-xdist; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    try:
        folder.mkdir()
    except FileExistsError:
        limit = time.monotonic() + 500
        while not (folder / "done").exists():
            is_made = not (folder / "failed").exists() and time.monotonic() < limit
            assert is_made, f"{folder}: the worker that makes it has failed, or has been ended"
            time.sleep(0.1)
    else:
        try:
            make(folder)
        except BaseException:
            (folder / "failed").touch()
            raise
        (folder / "done").touch()
    return folder


def moving_square(num_frames=20, height=32, width=40, seed=0):
    """A bright square that moves over noise, uint8 (T, H, W, 3): the frame's number can be read off it."""
    rng = np.random.default_rng(seed)
    frames = np.tile(rng.integers(0, 80, (1, height, width, 3), dtype=np.uint8), (num_frames, 1, 1, 1))
    for number, frame in enumerate(frames):
        frame[8:20, number : number + 12] = 255
    return frames


def square_positions(frames):
    """The first bright column of each frame (n, C, H, W): the frame's number, where `moving_square` drew it."""
    return [int((frame[:, 14].float().mean(dim=0) > 180).float().argmax()) for frame in frames]


def remux(source, target, hide=0, drop=0):
    """The same packets in another file: `hide` frames before its start, as after a cut; without `drop` packets."""
    options = {"movflags": "faststart"} if str(target).endswith("mp4") else {}
    with av.open(str(source)) as read, av.open(str(target), "w", options=options) as written:
        stream = read.streams.video[0]
        copy = written.add_stream_from_template(stream)
        packets = [packet for packet in read.demux(stream) if packet.size]
        shift = sorted(packet.pts for packet in packets)[hide]
        for packet in packets[drop:]:
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
            written.mux(packet)


@pytest.fixture(scope="session")
def video_folder(tmp_path_factory):
    """12 videos of 2 classes in 12 to 23 frames, with train.txt and test.txt."""
    from tbe.data.sources.records import write_list
    from tbe.data.video_writer import write_video

    folder = tmp_path_factory.mktemp("videos")
    rows = []
    for number in range(12):
        name = f"class {number % 2}/video {number}.mp4"
        (folder / name).parent.mkdir(exist_ok=True)
        frames = moving_square(12 + number, seed=number)
        write_video(folder / name, frames[:, :, ::-1].copy() if number % 2 else frames, fps=25)
        rows.append((name, number % 2))
    write_list(folder / "train.txt", rows[:8])
    write_list(folder / "test.txt", rows[8:])
    return folder


def composed(name, *overrides, run_dir):
    """A composed config, as the command line would compose it."""
    from tbe.config import config_dir

    config = pickle.loads(_composed(name, overrides, config_dir()))  # a sixth of the time of copy.deepcopy
    config.run_dir = str(run_dir)
    return config


def shallow(config):
    """The config of a network; of one with many equal blocks, with two of them."""
    from omegaconf import OmegaConf

    return OmegaConf.merge(config, {"depth": 2}) if "depth" in config else config


def assert_in_effect(file, config):
    """A config has what one of its files sets."""
    from omegaconf import OmegaConf

    own = OmegaConf.load(file) or OmegaConf.create()
    own.pop("defaults", None)
    assert differing(OmegaConf.to_container(own), config) == {}


def differing(expected, found):
    """What of a nested mapping another one has otherwise or lacks."""
    if not isinstance(expected, dict) or not isinstance(found, dict):
        return {} if expected == found else {"expected": expected, "found": found}
    pairs = {key: differing(value, found.get(key)) for key, value in expected.items()}
    return {key: difference for key, difference in pairs.items() if difference}


@functools.cache
def _composed(name, overrides, folder):
    """What Hydra composes: it applies values last, here to a config that is composed once for the same groups."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(overrides))
    groups = [part for part in parsed if Path(folder, part.key_or_group).is_dir() or "hydra" in part.key_or_group]
    config = pickle.loads(_composed_of(name, tuple(part.input_line for part in groups), folder))
    ConfigLoaderImpl._apply_overrides_to_config([part for part in parsed if part not in groups], config)
    return pickle.dumps(config)


@functools.cache  # a sixth of a second each
def _composed_of(name, overrides, folder):
    from hydra import compose, initialize_config_dir

    from tbe.config import register_resolvers
    from tbe.runs import run_folder

    register_resolvers(run_folder)
    with initialize_config_dir(folder, version_base="1.3"), _files_read_once(), _names_resolved_where_there_are():
        return pickle.dumps(compose(name, overrides=list(overrides)))


@contextmanager
def _files_read_once():
    """Hydra without reading each file of configs/ again for each config that is composed: half of that time."""
    from hydra._internal.config_repository import ConfigRepository

    def load_config(repository, config_path):
        folders = tuple(source.path for source in repository.sources)
        key = (folders, config_path)
        if key not in _READ:
            _READ[key] = pickle.dumps(load(repository, config_path))
        return pickle.loads(_READ[key])

    load = ConfigRepository.load_config
    with patch.object(ConfigRepository, "load_config", load_config):
        yield


@contextmanager
def _names_resolved_where_there_are():
    """Hydra without making, for each file, what names in its list of defaults may refer to: few have some."""
    from hydra._internal import defaults_list

    def choices(overrides, defaults, self_added):
        return create(overrides, defaults, self_added) if any(part.is_interpolation() for part in defaults) else None

    create = defaults_list._create_interpolation_map
    with patch.object(defaults_list, "_create_interpolation_map", choices):
        yield


def run_command(module, name, overrides, run_dir):
    """Prepares and runs a command in this process; returns the folder of the run."""
    from hydra import initialize_config_dir

    from tbe.config import config_dir

    config = composed(name, *overrides, run_dir=run_dir)
    with initialize_config_dir(config_dir(), version_base="1.3"):  # a run that follows composes its own config
        stages = module.prepare(config, list(overrides))
    with _pictures_of_few_pixels():
        module.run(stages)
    return Path(run_dir)


@contextmanager
def _pictures_of_few_pixels():
    """Figures are drawn and written as they are, but a ninth of their pixels: those took a third of an evaluation."""
    from matplotlib.figure import Figure

    def savefig(figure, file, *, dpi, **settings):
        write(figure, file, dpi=dpi / 3, **settings)

    write = Figure.savefig
    with patch.object(Figure, "savefig", savefig):
        yield


def smallest(overrides):
    """What makes a run small, but what these overrides choose."""
    chosen = {part.split("=")[0] for part in overrides}
    chosen |= {"backbone.widths"} if chosen & {"backbone", "experiment", "init_from"} else set()
    return [part for part in [*SMALL, *NARROW, "trainer=cpu", "epochs=1"] if part.split("=")[0] not in chosen]


@pytest.fixture
def train(tmp_path):
    """train("be=none", ...) runs train.py's work in this process with a small data set."""
    import tbe.train

    def start(*overrides, folder="run", small=True):
        run_dir = tmp_path / "runs" / folder
        return run_command(tbe.train, "train", [*(smallest(overrides) if small else []), *overrides], run_dir)

    return start


def _trained_once(tmp_path_factory, data_dir, name, *overrides):
    """The folder of a small run that is trained once for all tests."""
    import tbe.train

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TBE_RUNS", str(folder))
            patch.setenv("TBE_DATA", str(data_dir))
            run_command(tbe.train, "train", [*smallest(overrides), *overrides], folder / "run")

    return once(tmp_path_factory, name, make) / "run"


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory, data_dir):
    return _trained_once(tmp_path_factory, data_dir, "trained")


@pytest.fixture(scope="session")
def finetuned_once(tmp_path_factory, data_dir):
    return _trained_once(tmp_path_factory, data_dir, "finetuned", "stage=finetune", "evaluation.clips=2")


@pytest.fixture
def trained(trained_once, tmp_path):
    """What `train()` leaves: a copy to evaluate, or to change."""
    return shutil.copytree(trained_once, tmp_path / "runs" / "run")


@pytest.fixture
def finetuned(finetuned_once, tmp_path):
    """What `train("stage=finetune", "evaluation.clips=2")` leaves: a copy to evaluate, or to change."""
    return shutil.copytree(finetuned_once, tmp_path / "runs" / "finetuned")


def rewrite_checkpoint(run, change):
    """Changes what the last checkpoint of a run holds: `change(checkpoint)`."""
    file = run / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, file)


@pytest.fixture
def evaluate(tmp_path):
    """evaluate("task=retrieval", ...) runs eval.py's work in this process."""
    import tbe.eval

    def start(*overrides, folder="evaluation"):
        run_dir = tmp_path / "runs" / folder
        return run_command(
            tbe.eval, "eval", ["datamodule.num_workers=0", "clips=2", "trainer=cpu", *overrides], run_dir
        )

    return start


def started(*arguments, cwd=None, **environment):
    """`python <arguments>` as a user would start it, a process of its own; see tests/fork_server.py."""
    return Program(arguments, {**os.environ, "OMP_NUM_THREADS": "1", **environment}, cwd or ROOT)


def command_line(*arguments, cwd=None, timeout=300, **environment):
    """Runs `python <arguments>` as a user would; returns the finished process."""
    process = started(*arguments, cwd=cwd, **environment)
    try:
        stdout, stderr = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
