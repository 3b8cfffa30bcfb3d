"""Writes the card of an exported network in Markdown."""

from __future__ import annotations

from typing import Any

# For each format, the imports and the code of an example.
SAFETENSORS = """import json
from pathlib import Path

from safetensors.torch import load_file
{imports}from tbe.config import build

card = json.loads(Path("card.json").read_text())
{network} = {built}.eval()
{network}.load_state_dict(load_file("{file}"))
{output} = {network}(clips)"""
TORCH_EXPORT = """{network} = torch.export.load("{file}").module()
{output} = {network}(clips)"""
ONNX = """import onnxruntime

session = onnxruntime.InferenceSession("{file}")
({output},) = session.run(None, {{"clips": clips.numpy()}})"""
EXAMPLES = {"safetensors": SAFETENSORS, "torch_export": TORCH_EXPORT, "onnx": ONNX}
# The metadata that the Hub reads.
HUB = """---
library_name: tbe-video
tags:
- video
- self-supervised-learning
- model_hub_mixin
---"""
# The measures of an audit that the card shows.
AUDITED = {
    "background_reliance": "background reliance",
    "motion_reliance": "motion reliance",
    "clean_top1": "top-1",
    "own_top1": "top-1, actor pasted back on its own background (control)",
    "swap_class_top1": "top-1, in front of another class's background",
    "sberr": "given the class of that background (SBErr)",
    "contrasted_top1": "contrasted accuracy",
}
# For each network, its output, the code that builds it from the card, and the imports.
NETWORKS = {
    "backbone": {"output": "features", "built": 'build(card["backbone"])', "imports": ""},
    "classifier": {
        "output": "logits",
        "built": 'Classifier(build(card["backbone"]), card["num_classes"])',
        "imports": "from tbe.backbones.classifier import Classifier\n",
    },
}


def readme(card: dict[str, Any]) -> str:
    """Returns the Markdown card, with a runnable example for each file (run in the folder of the files)."""
    parts = (HUB, _title(card), _input(card["input"]), _files(card), _examples(card), _audits(card), _origin(card))
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(card: dict[str, Any]) -> str:
    head = f" `classifier` gives their logits `(B, {card['num_classes']})`." if card["num_classes"] else ""
    return f"# {card['name']}\n\n`backbone` gives features `(B, {card['features_dim']})` of video clips.{head}"


def _input(given: dict[str, Any]) -> str:
    _, _, frames, height, width = given["shape"]
    fixed = [size for size in ("frames", "height", "width") if size not in given["dynamic"]]
    shape = f"{given['dtype']} `{given['layout']}`, here `({', '.join(map(str, given['shape']))})`"
    return f"""## Input

- `{given["name"]}`: {shape}, {frames} frames that are {given["stride"]} apart
- {given["channels"]} from 0 to 1, less the mean {given["mean"]}, divided by {given["std"]}
- videos were decoded to a short side of {given["short_side"]}; the middle of it, a share of {given["crop_share"]},
  was resized to {height} x {width} pixels
- files that hold the network leave open: {", ".join(given["dynamic"])}; they fix: {", ".join(fixed) or "nothing"}"""


def _files(card: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| `{name}` | {file['format']} | {file['bytes']:,} | {file['max_error']:.2g} | {file['largest_output']:.3g} |"
        for name, file in card["files"].items()
    )
    return f"""## Files

| file | format | bytes | largest error | largest output |
|---|---|---|---|---|
{rows}

Each file was read back and compared with the network on random clips {", ".join(map(str, card["checked_on"]))}.
An error up to {card["tolerance"]:g} of the largest output passes. `card.json` has the SHA-256 of each file."""


def _examples(card: dict[str, Any]) -> str:
    given = card["input"]
    _, channels, frames, height, width = given["shape"]
    clips = f"""import torch

frames = torch.randint(256, (1, {frames}, {channels}, {height}, {width}))  # yours: (B, T, C, H, W), bytes
mean = torch.tensor({given["mean"]}).view(-1, 1, 1, 1)
std = torch.tensor({given["std"]}).view(-1, 1, 1, 1)
clips = (frames.transpose(1, 2) / 255 - mean) / std"""
    blocks = [clips]
    for name, file in card["files"].items():
        network = file["network"]
        blocks.append(EXAMPLES[file["format"]].format(file=name, network=network, **NETWORKS[network]))
    ours = 'With this project `tbe.load(<this folder>)`, of the Hub `tbe.load("hf:<id>")`; without it, in this folder:'
    return f"## Use\n\n{ours}\n\n" + "\n\n".join(f"```python\n{block}\n```" for block in blocks)


def _audits(card: dict[str, Any]) -> str:
    """Returns the numbers of the audits, empty without any."""
    if not card.get("audits"):
        return ""
    lines = ["## Background bias", "", "Percent, with 95 % intervals over videos; `card.json` has all numbers."]
    for record in card["audits"]:
        about = record["about"]
        valid = f"{about['num_valid']} of {about['num_videos']} videos, {about['masks']}"
        lines += [
            "",
            f"On {about['data']}, {about['split']} ({valid}):",
            "",
            "| | " + " | ".join(record["measures"]) + " |",
        ]
        lines.append("|---" * (1 + len(record["measures"])) + "|")
        for name, title in AUDITED.items():
            cells = [_interval(*found[name]) for found in record["measures"].values()]
            lines.append(f"| {title} | {' | '.join(cells)} |")
        lines += ["", f"Made with: `{about['command']}`"]
    return "\n".join(lines)


def _interval(value: float, low: float, high: float) -> str:
    return "–" if value != value else f"{value:.1f} ({low:.1f} to {high:.1f})"


def _origin(card: dict[str, Any]) -> str:
    origin = card["origin"] if isinstance(card["origin"], dict) else {"weights": card["origin"]}
    known = {name: number for name, number in card["versions"].items() if number}
    lines = [*_items(origin), f"- written with: {', '.join(f'{name} {number}' for name, number in known.items())}"]
    if card["run_metrics"]:
        lines += ["", "The training run ended with:", "", *_items(card["run_metrics"])]
    return "\n".join(["## Origin", "", *lines])


def _items(values: dict[str, Any]) -> list[str]:
    return [f"- {name}: {value}" for name, value in values.items()]
