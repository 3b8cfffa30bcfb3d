"""Makes list files from what a data set is published with, and verifies videos: python -m tbe.prepare <name> --help."""

from __future__ import annotations

import argparse
import sys

from tbe.prepare import (
    diving48,
    folder,
    hmdb51,
    kinetics400,
    something_v1,
    something_v2,
    ucf101,
    verify,
    weizmann,
)

DATASETS = {
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "diving48": diving48,
    "something_v1": something_v1,
    "something_v2": something_v2,
    "kinetics400": kinetics400,
    "weizmann": weizmann,
    "folder": folder,
    "verify": verify,  # of the lists that the others write
}


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line and writes the lists."""
    parser = argparse.ArgumentParser(prog="python -m tbe.prepare", description=__doc__)
    commands = parser.add_subparsers(dest="dataset", required=True, metavar="|".join(DATASETS))
    for name, dataset in DATASETS.items():
        command = commands.add_parser(name, help=dataset.__doc__.splitlines()[0], description=dataset.__doc__)
        dataset.add_arguments(command)
        command.set_defaults(run=dataset.run)
    chosen = parser.parse_args(arguments)
    try:
        chosen.run(chosen)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
