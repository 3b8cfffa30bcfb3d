"""The fused color kernel compiled ahead of time for GPUs that need not be there: `python -m benchmarks.speed.kernel`.

Of each generation the registers of a thread, of 255 that there are, and the bytes that did not fit into them, by ptxas
of the installed Triton. Where Triton can't compile the row says why.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import harness
from benchmarks.common.harness import Finding
from tbe.augment.fused_color import AFTER, BEFORE, BLOCK, WARPS
from tbe.errors import first_line

GENERATIONS = {80: "A100", 90: "H100 and H200", 100: "B200"}
REGISTERS = 255  # of a thread
SIZE = 112


class Usage(NamedTuple):
    """What ptxas says of a kernel: registers of a thread, and bytes that it stores elsewhere for want of them."""

    registers: int
    spilled: int


def measure(device: str = "cpu", quick: bool = False) -> Iterator[Finding | str]:
    """Compiles for each generation, whatever the device; quick: for the first alone."""
    for capability in list(GENERATIONS)[: 1 if quick else None]:
        setting = f"sm_{capability} ({GENERATIONS[capability]}), frames of {SIZE}x{SIZE}"
        try:
            usage = compiled(capability)
        except Exception as error:  # of many kinds, depending on what is missing
            yield f"Not compiled for {setting}: {first_line(error)}\n"
            continue
        share = usage.registers / REGISTERS
        yield Finding(f"registers / {REGISTERS}", f"{setting}: {usage.registers}", share, share, share)
        yield Finding("spilled bytes / 1", setting, usage.spilled, usage.spilled, usage.spilled, "<= 0")


def compiled(capability: int) -> Usage:
    """Compiles the kernel for a generation of GPUs and returns what it uses."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from tbe.augment.color_kernel import change_frames

    length = 1 + 3 * (BEFORE + AFTER)
    constants = {"size": SIZE, "plan_length": length, "has_contrast": True, "block": BLOCK}
    kinds = {"pictures": "*fp16", **dict.fromkeys(("plan", "early", "mean", "std", "result"), "*fp32")}
    signature = {name: kinds.get(name, "i32") for name in change_frames.arg_names}
    source = ASTSource(change_frames, signature | dict.fromkeys(constants, "constexpr"), constants)
    code = triton.compile(source, GPUTarget("cuda", capability, 32), {"num_warps": WARPS}).asm["ptx"]
    return used(code, Path(triton.__file__).parent / "backends" / "nvidia" / "bin", capability)


def used(code: str, folder: Path, capability: int) -> Usage:
    """Returns what ptxas, of those that Triton brings, says of the code of a kernel."""
    newer = folder / "ptxas-blackwell"
    program = newer if capability >= 100 and newer.exists() else folder / "ptxas"
    target = re.findall(r"^\.target (\w+)", code, re.M)[0]
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "kernel.ptx")
        file.write_text(code, encoding="utf-8")
        command = [program, "-v", f"--gpu-name={target}", file, "-o", Path(place, "kernel.cubin")]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers = re.findall(r"Used (\d+) registers", said)[0]
    return Usage(int(registers), sum(int(size) for size in re.findall(r"(\d+) bytes spill stores", said)))


if __name__ == "__main__":
    harness.command(__doc__, measure, quick="for one generation")
