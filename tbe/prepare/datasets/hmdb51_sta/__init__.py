"""Lists of HMDB51-STA: the stabilised HMDB51 without the videos in which the camera still moves much.

Expects the videos of the official stabilised download, <root>/<class>/<video>.avi, and the official splits of HMDB51 as
`hmdb51` reads them. Measures the camera's motion in each video: how far most of the picture is displaced from a frame
to the next, in shares of the picture's short side (0.01 is 2.4 of 240 pixels), averaged over the video. Writes
train_1.txt to 3 and test_1.txt to 3 of the videos of at most --max-motion, classes.txt, and the values as motion.csv
(path,status,motion,pairs,reason), where another --max-motion finds them again. Videos that can't be measured are named
and left out, and the command exits with 1.

Unsure: the authors of Background Erasing say of HMDB51-STA that huge camera motion was removed from the stabilised
HMDB51, not by which rule; the measure and its threshold are ours, so their lists may be others.
"""

from tbe.prepare.datasets.hmdb51_sta.command import add_arguments, run

__all__ = ["add_arguments", "run"]
