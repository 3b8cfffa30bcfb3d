"""Who may import whom.

`tbe/` has at most seven modules and a package for each subject. They lie in layers, the lowest first: a module imports
what is below it, or beside it in its own package, and nothing above; `errors` is everybody's. Within a package, its
modules and packages import each other without a circle, and tasks, methods, backbones, callbacks and commands that
stand side by side do not know of each other. A few libraries are used in few places.
"""

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.conftest import ROOT

LAYERS = [
    {"errors", "distributed", "config", "runs"},
    {"augment", "backbones", "data"},
    {"erasing", "methods", "viz"},
    {"checkpoints"},
    {"encoders"},
    {"evaluation"},
    {"reporting", "training"},
    {"auditing"},
    {"launch"},
    {"api"},
    {"prepare", "preview"},
    {"eval", "train"},
    {"__main__"},
]
# A library -> the parts that may import it.
ONLY = {
    "hydra": {"api", "config", "launch"},
    "omegaconf": {"api", "config", "launch", "preview"},
    "decord": {"data"},
    "pyarrow": {"data"},
    "faiss": {"evaluation"},
    "sklearn": {"evaluation"},
    "matplotlib": {"evaluation", "reporting", "viz"},
    "wandb": set(),
    "safetensors": {"checkpoints", "encoders", "evaluation"},
    "transformers": {"encoders"},
    "huggingface_hub": {"api", "checkpoints"},
    "mteb": {"api"},
    "timm": {"encoders"},
    "onnx": {"evaluation"},
    "onnxruntime": {"evaluation"},
}
# Packages whose modules do not import each other -> those that the others are built on.
SIBLINGS = {
    "evaluation.tasks": {"base", "linear", "scene_leakage"},
    "methods": {
        "base",
        "broken_motion",
        "encoder",
        "extra_negatives",
        "float32_products",
        "key_queue",
        "moving_average",
        "losses",
        "sigreg",
    },
    "backbones": {"activation_checkpointing", "statistics", "base", "preprocessing"},
    "training.callbacks": set(),
    "prepare.datasets": {"weizmann"},
    "prepare.benchmarks": set(),
    "prepare.tools": set(),
}
MODULES = 7
FILES = sorted((ROOT / "tbe").rglob("*.py"))
PACKAGES = sorted(file.parent for file in FILES if file.name == "__init__.py")


def parts_of(path):
    """A file as the parts of its module's name, after `tbe`."""
    return path.relative_to(ROOT / "tbe").with_suffix("").parts


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:  # of a package a module, or a name that it hands on
                name = f"{node.module}.{alias.name}"
                file = ROOT.joinpath(*name.split("."))
                is_module = file.is_dir() or file.with_suffix(".py").is_file()
                yield name if is_module else node.module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_layers(path):
    part = parts_of(path)[0]
    if part == "__init__":  # hands on what is public
        return
    layer = next(number for number, parts in enumerate(LAYERS) if part in parts)
    below = {"errors", part}.union(*LAYERS[:layer])
    for name in imported(path):
        library, *rest = name.split(".")
        assert library != "tbe" or not rest or rest[0] in below, f"{path} imports {name}, which is not below it"
        assert part in ONLY.get(library, {part}), f"{path} imports {name}"


def test_the_root_has_few_modules_and_each_package_says_what_it_is_for():
    modules = [path.stem for path in (ROOT / "tbe").glob("*.py") if not path.stem.startswith("__")]
    assert len(modules) <= MODULES, modules
    for package in PACKAGES:
        assert ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))), package


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_within_a_package_imports_form_no_circle(package):
    own = package.relative_to(ROOT).parts
    graph = {}
    for path in package.rglob("*.py"):
        child = path.relative_to(package).with_suffix("").parts[0]
        if child == "__init__":
            continue
        names = {tuple(name.split("."))[: len(own) + 1] for name in imported(path)}
        graph.setdefault(child, set()).update(
            name[-1] for name in names if name[:-1] == own and name[-1] != child and len(name) > len(own)
        )
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"{'.'.join(own)}: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("package", SIBLINGS)
def test_siblings_do_not_import_each_other(package):
    own = f"tbe.{package}."
    for path in ROOT.joinpath("tbe", *package.split(".")).glob("*.py"):
        names = {name.removeprefix(own).split(".")[0] for name in imported(path) if name.startswith(own)}
        if path.stem != "__init__":
            assert names - {path.stem} <= SIBLINGS[package], f"{path} imports {names - SIBLINGS[package]}"
