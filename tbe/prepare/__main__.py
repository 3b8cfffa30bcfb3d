"""Makes list files from published annotations, and processes videos: python -m tbe.prepare <name> --help."""

from __future__ import annotations

import argparse

from tbe.errors import ended_in_one_line
from tbe.prepare.benchmarks import hat, hat_swap, mimetics, scuba
from tbe.prepare.datasets import (
    actor_hmdb51,
    composite,
    diving48,
    folder,
    hmdb51,
    hmdb51_sta,
    kinetics400,
    something_v1,
    something_v2,
    ucf101,
    ut_interaction,
    weizmann,
)
from tbe.prepare.tools import frames, masks, shards, subset, transcode, verify

DATASETS = {
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "actor_hmdb51": actor_hmdb51,
    "hmdb51_sta": hmdb51_sta,
    "diving48": diving48,
    "something_v1": something_v1,
    "something_v2": something_v2,
    "kinetics400": kinetics400,
    "weizmann": weizmann,
    "ut_interaction": ut_interaction,
    "folder": folder,
    "composite": composite,
}
BENCHMARKS = {  # further splits of some of them
    "scuba": scuba,
    "hat": hat,
    "hat_swap": hat_swap,
    "mimetics": mimetics,
}
TOOLS = {  # for the videos and lists of any data set
    "verify": verify,
    "transcode": transcode,
    "frames": frames,
    "masks": masks,
    "shards": shards,
    "subset": subset,
}
COMMANDS = DATASETS | BENCHMARKS | TOOLS


def main(arguments: list[str] | None = None) -> None:
    """Parses the command line and runs the command."""
    parser = argparse.ArgumentParser(prog="python -m tbe.prepare", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    for name, command in COMMANDS.items():
        options = subparsers.add_parser(
            name,
            help=command.__doc__.splitlines()[0],
            description=command.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,  # keeps the line breaks of shown formats
        )
        command.add_arguments(options)
        options.set_defaults(run=command.run)
    chosen = parser.parse_args(arguments)
    with ended_in_one_line():
        chosen.run(chosen)


if __name__ == "__main__":
    main()
