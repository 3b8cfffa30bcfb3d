"""Writes the lists of HMDB51-STA: the stabilised HMDB51 without the videos with much remaining camera motion.

Expects the videos of the official stabilised download, <root>/<class>/<video>.avi, and the official splits of HMDB51 as
`hmdb51` reads them. Measures the camera motion of each video: the displacement of most of the picture between frames,
as a share of its short side (0.01 is 2.4 of 240 pixels), averaged over the video. Writes train_1.txt to 3 and
test_1.txt to 3 with the videos of at most --max-motion, classes.txt, and the values as motion.csv
(path,status,motion,pairs,settings,reason), which a run with another --max-motion reuses. Videos that can't be measured
are printed and left out, and the command exits with 1.

Uncertain: the authors of Background Erasing write that huge camera motion was removed from the stabilised HMDB51, but
not by which rule; the measure and its threshold are ours, so their lists may differ.
"""

from tbe.prepare.datasets.hmdb51_sta.command import add_arguments, run

__all__ = ["add_arguments", "run"]
