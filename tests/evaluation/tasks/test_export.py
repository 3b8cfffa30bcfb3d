"""Exported networks are those that were trained, say what they are, and need no video."""

import hashlib
import json
import re
import sys
from contextlib import nullcontext

import pytest
import torch
import yaml
from safetensors.torch import load_file, save
from torch.testing import assert_close

from tbe.checkpoints import checkpoint as checkpoints
from tbe.config import build
from tbe.evaluation.tasks.export import Export
from tbe.evaluation.tasks.export.formats import FORMATS
from tbe.evaluation.tasks.export.task import random_clips
from tests.conftest import ROOT

AVAILABLE = {name: form for name, form in FORMATS.items() if torch.__version__ >= form.min_torch}
WEIGHTS = "tasks.export.formats=[safetensors]"


@pytest.fixture
def clips():
    return torch.randn(5, 3, 8, 32, 32, generator=torch.Generator().manual_seed(1))


def exported(leaf, folder, **options):
    """What the card would say of the files of an untrained backbone, by their formats."""
    torch.manual_seed(0)
    backbone = build(yaml.safe_load((ROOT / "configs" / "backbone" / f"{leaf}.yaml").read_text()))
    exporter = Export(**options)
    files = exporter.write("backbone", backbone, folder, random_clips((3, 8, 32, 32), exporter.dynamic_sizes))
    return {file["format"]: file for file in files.values()}


def card_of(run, name):
    return json.loads((run / "export" / name / "card.json").read_text())


@torch.no_grad()
def test_a_finetuned_network_and_its_head_come_back_from_every_format(
    finetuned, evaluate, clips, monkeypatch, tmp_path
):
    monkeypatch.setenv("TBE_DATA", str(tmp_path / "no videos"))
    run = evaluate("task=export", f"tasks.export.formats=[{','.join(AVAILABLE)}]")
    assert not (tmp_path / "no videos").exists()

    folder, card = run / "export" / "demo_finetune", card_of(run, "demo_finetune")
    names = [f"{network}.{form.suffix}" for network in ("backbone", "classifier") for form in AVAILABLE.values()]
    assert list(card["files"]) == names
    assert {path.name for path in folder.iterdir()} == {*names, "card.json", "config.json", "README.md"}
    checkpoint = checkpoints.read(finetuned / "checkpoints" / "last.ckpt")
    for name, network in (("backbone", checkpoint.backbone()), ("classifier", checkpoint.classifier())):
        for form in AVAILABLE.values():
            outputs = form.read(folder / f"{name}.{form.suffix}", network.eval())(clips)
            assert_close(outputs, network(clips), atol=1e-5, rtol=1e-5)
    metrics = json.loads((run / "metrics.json").read_text())
    for name in AVAILABLE:
        errors = [file["max_error"] for file in card["files"].values() if file["format"] == name]
        assert metrics[f"export/{name}_max_error"] == max(errors)

    monkeypatch.chdir(folder)
    scope = {}
    for example in re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S):
        exec(example, scope)
    assert scope["features"].shape == (1, 8)
    assert scope["logits"].shape == (1, 4)


def test_the_card_says_what_goes_in_and_where_the_weights_come_from(trained, evaluate):
    run = evaluate("task=export", WEIGHTS, "clip=8x2_64")
    card = card_of(run, "demo")
    assert card["input"]["shape"] == ["batch", 3, 8, 64, 64]
    assert [card["input"][name] for name in ("stride", "short_side", "crop_share")] == [2, 72, 0.875]
    assert card["input"]["channels"] == "RGB"
    assert card["input"]["mean"] == [0.43216, 0.394666, 0.37645]
    assert (card["features_dim"], card["num_classes"]) == (8, None)
    assert card["backbone"] == yaml.safe_load((trained / "config.yaml").read_text())["backbone"]
    origin = {"path": str(trained / "checkpoints" / "last.ckpt"), "stage": "pretrain", "epoch": 0, "step": 4}
    assert origin.items() <= card["origin"].items()
    measured = json.loads((trained / "metrics.json").read_text())
    assert card["run_metrics"] == {name: value for name, value in measured.items() if name != "protocol"}
    file = run / "export" / "demo" / "backbone.safetensors"
    assert card["files"][file.name]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_each_checkpoint_has_its_folder_and_the_untrained_network_one(trained, evaluate, clips):
    run = evaluate("task=export", WEIGHTS, "checkpoint=[random,latest]")
    assert {path.name for path in (run / "export").iterdir()} == {"demo", "random init"}
    card = card_of(run, "random init")
    assert (card["origin"], card["run_metrics"]) == ("random", None)
    loaded = build(card["backbone"]).eval()
    loaded.load_state_dict(load_file(run / "export" / "demo" / "backbone.safetensors"))
    expected = checkpoints.read(trained / "checkpoints" / "last.ckpt").backbone().eval()
    assert_close(loaded(clips), expected(clips), atol=0, rtol=0)


def test_no_data_set_needs_to_be_there(evaluate):
    named = ["data=ucf101", "data.root=/nowhere", "clip=8x2_32", "reader=decord", "backbone=tiny"]
    run = evaluate("task=export", WEIGHTS, "checkpoint=random", *named)
    assert card_of(run, "random init")["origin"] == "random"


# One of each kind. All leaves of configs/backbone were exported by hand in all formats, in minutes.
@pytest.mark.parametrize("leaf", ["c3d", "i3d"])
def test_weights_come_back_to_the_last_bit_and_traced_networks_take_any_batch(leaf, tmp_path):
    files = exported(leaf, tmp_path, formats=["safetensors", "torch_export"])
    assert files["safetensors"]["max_error"] == 0
    assert files["torch_export"]["max_error"] <= 1e-5 * files["torch_export"]["largest_output"]


def test_sizes_are_left_open_where_the_network_allows_it(tmp_path):
    sizes = ["frames", "height", "width"]
    for file in exported("tiny", tmp_path, formats=list(AVAILABLE), dynamic_sizes=sizes).values():
        assert file["max_error"] <= 1e-5 * file["largest_output"]
    with pytest.raises(ValueError, match=r"expected sizes that can vary in this network.*got \['frames'"):
        exported("c3d", tmp_path, formats=["torch_export"], dynamic_sizes=["frames"])


def test_a_file_that_differs_is_deleted_and_refused(tmp_path, monkeypatch):
    def write_wrong(network, traced, file):
        file.write_bytes(save({name: value * 1.01 for name, value in network.state_dict().items()}))

    wrong = FORMATS["safetensors"]._replace(write=write_wrong)
    monkeypatch.setitem(FORMATS, "safetensors", wrong)
    with pytest.raises(ValueError, match=r"backbone.safetensors: expected outputs within 0.0001 of the network's"):
        exported("tiny", tmp_path, formats=["safetensors"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("tolerance", "is_accepted"), [(0.1, True), (0.001, False)])
def test_a_difference_is_accepted_up_to_the_tolerance(tmp_path, monkeypatch, tolerance, is_accepted):
    def read_rounded(file, network):
        return lambda clips: network(clips) * 1.01

    monkeypatch.setitem(FORMATS, "safetensors", FORMATS["safetensors"]._replace(read=read_rounded))
    expected = nullcontext() if is_accepted else pytest.raises(ValueError, match="expected outputs within 0.001 of")
    with expected:
        exported("tiny", tmp_path, formats=["safetensors"], tolerance=tolerance)
    assert (tmp_path / "backbone.safetensors").exists() is is_accepted


def test_a_missing_package_is_one_error_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setitem(FORMATS, "onnx", FORMATS["onnx"]._replace(min_torch="2.6"))
    with pytest.raises(ValueError, match=r"format 'onnx', got none called onnxscript.*pip install -e '\.\[export\]'"):
        Export(formats=["safetensors", "onnx"])
    Export()


def test_a_torch_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(torch, "__version__", type(torch.__version__)("2.6.0"))
    with pytest.raises(ValueError, match=r"expected torch 2.7 or newer for format 'onnx', got 2.6.0"):
        Export(formats=["onnx"])


def test_unknown_formats_and_sizes_are_refused():
    with pytest.raises(ValueError, match=r"formats among safetensors, torch_export, onnx, got \['tflite'\]"):
        Export(formats=["tflite"])
    with pytest.raises(ValueError, match=r"some of frames, height, width, got \['time'\]"):
        Export(dynamic_sizes=["time"])
