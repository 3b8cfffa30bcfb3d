"""Who may import whom."""

import ast
import re

import pytest

from tests.conftest import ROOT

# A part of tbe -> the parts it may import. Parts that are not named here may be imported by none.
ALLOWED = {
    "__main__": {"processes"},  # what it starts is imported when it is started
    "api": {"augment", "backbones", "checkpoint", "config", "data", "layout", "runs", "weights"},
    "layout": set(),
    "erasing": {"layout"},
    "losses": {"distributed"},
    "neighbours": set(),
    "metrics": {"neighbours"},
    "statistics": set(),
    "augment": set(),
    "backbones": set(),
    "distributed": set(),
    "classifier": set(),
    "consistency": set(),
    "config": set(),
    "errors": set(),
    "error_log": set(),
    "processes": set(),
    "quoting": set(),
    "settings": set(),
    "mistaken_files": set(),
    "loggers": {"runs"},
    "results": set(),
    "methods": {"distributed"},
    "data": {"mistaken_files"},
    "modules": {"methods", "metrics", "classifier", "consistency"},
    "probes": set(),
    "features": {"data", "distributed", "probes"},
    "cache": {"data", "distributed", "features", "probes"},
    "callbacks": {"data", "metrics", "neighbours", "distributed", "pictures"},
    "weights": {"config", "mistaken_files"},
    "carried": set(),
    "moved_keys": set(),
    "checkpoint": {"carried", "checkpoint_files", "config", "classifier", "weights"},
    "pictures": {"data"},
    "splits": {"statistics"},
    "tasks": {
        "cache",
        "probes",
        "features",
        "metrics",
        "neighbours",
        "statistics",
        "data",
        "distributed",
        "classifier",
        "results",
        "pictures",
    },
    "prepare": {"data", "quoting"},
    "sweep": {"results", "comparison"},
    "runs": set(),
    "run_folder": set(),
    "jobs": set(),
    "checkpoint_files": set(),
    # What they start is imported when it is started.
    "commands": {"config", "error_log", "jobs", "moved_keys", "processes", "runs", "data"},
    "preview": {"commands", "config", "data", "pictures", "results", "settings"},
    "comparison": {"pictures", "statistics"},
    "reporting": set(),
    "report": {"pictures", "reporting"},  # colours alone: it reads files, not objects
    "train_config": {"checkpoint", "checkpoint_files", "config", "moved_keys", "results", "runs", "settings"},
    "acceleration": {"backbones"},
    "train": {
        "acceleration",
        "checkpoint",
        "config",
        "jobs",
        "processes",
        "quoting",
        "results",
        "runs",
        "callbacks",
        "distributed",
        "reporting",
        "tasks",
        "train_config",
    },
    "eval_config": {"checkpoint", "config", "results", "runs", "settings", "splits"},
    "eval": {
        "cache",
        "checkpoint",
        "config",
        "results",
        "callbacks",
        "distributed",
        "eval_config",
        "processes",
        "reporting",
        "splits",
        "tasks",
        "weights",
    },
}
# A library -> the parts that may import it.
ONLY = {
    "hydra": {"api", "config", "commands", "run_folder", "sweep", "train_config"},
    "omegaconf": {
        "api",
        "config",
        "commands",
        "run_folder",
        "sweep",
        "train_config",
        "eval_config",
        "preview",
        "settings",
    },
    "decord": {"data"},  # its readers alone
    "faiss": {"neighbours"},
    "sklearn": {"tasks"},
    "matplotlib": {"comparison", "pictures", "tasks"},
    "wandb": set(),
    "safetensors": {"tasks", "weights"},
    "onnx": {"tasks"},
    "onnxruntime": {"tasks"},
}
# What everybody may import, to name the type of an argument or of an error.
TYPES = {"tbe.backbones.base", "tbe.errors"}
FILES = sorted((ROOT / "tbe").rglob("*.py"))


def part_of(path):
    relative = path.relative_to(ROOT / "tbe")
    return relative.parts[0].removesuffix(".py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (f"tbe.{alias.name}" for alias in node.names) if module == "tbe" else (module,)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_layers(path):
    part = part_of(path)
    if part == "__init__":
        return
    for name in imported(path):
        library, *rest = name.split(".")
        if library == "tbe" and rest:
            assert rest[0] == part or rest[0] in ALLOWED[part] or name in TYPES, f"{path} imports {name}"
        assert part in ONLY.get(library, {part}), f"{path} imports {name}"


@pytest.mark.parametrize("folder", ["tasks", "methods", "backbones", "callbacks", "prepare"])
def test_siblings_do_not_import_each_other(folder):
    # What a folder's own parts are built on.
    shared = {"base", "chain", "encoder", "linear", "negatives", "preprocessing", "queue", "scenes", "weizmann"}
    for path in (ROOT / "tbe" / folder).glob("*.py"):
        names = {name.split(".")[2] for name in imported(path) if name.startswith(f"tbe.{folder}.")}
        assert names <= shared, f"{path} imports {names - shared}"


# Where a plain one is right: no command, config or file of a user can cause it, only a program that calls it wrongly.
PROGRAMS = {
    "augment/pipeline.py",
    "backbones/base.py",
    "checkpoint_files.py",
    "data/clips.py",
    "data/readers/file_facts.py",
    "data/video_writing.py",
    "neighbours/space.py",
    "statistics.py",
    "tasks/cam/maps.py",
    "weights/foreign.py",
}


def test_what_a_user_can_put_right_is_raised_as_such():
    # Anything else ends a command with "its traceback: <run>/error.log".
    for path in FILES:
        if path.relative_to(ROOT / "tbe").as_posix() not in PROGRAMS:
            raised = re.findall(r"^\s*raise (?:ValueError|FileNotFoundError|OSError)\(", path.read_text("utf-8"), re.M)
            assert not raised, f"{path}: use tbe.errors.UserError"
