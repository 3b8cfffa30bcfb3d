"""Writes the lists of HMDB51 from the official testTrainMulti_7030_splits folder.

Expects <class>_test_split<1 to 3>.txt with lines '<video>.avi <id>', id 1 for train, 2 for test, 0 for neither. Writes
train_1.txt to 3, test_1.txt to 3 and classes.txt; paths are <class>/<video>.avi, labels follow the sorted class names.
"""

from __future__ import annotations

import argparse

from tbe.prepare.common import add_annotations, add_out, write_lists
from tbe.prepare.common.hmdb51_splits import FILES, OFFICIAL, hmdb51_lists


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    add_annotations(parser, FILES)
    add_out(parser, "hmdb51")


def run(args: argparse.Namespace) -> None:
    """Writes the lists and prints the number of videos of each."""
    given = hmdb51_lists(args.annotations)
    write_lists("hmdb51", args.out, given.rows, given.classes, OFFICIAL)
