"""Makes the videos and lists of Actor-HMDB51: HMDB51 with as little background as possible.

Expects the videos of HMDB51, <root>/<class>/<video>.avi, its official splits as `hmdb51` reads them, and boxes or masks
of the actors from a detector of your choice:

  --boxes  <boxes>/<class>/<video>.csv with lines '<frame>,x1,y1,x2,y2' (a header is skipped), or .json with a list of
           such rows or an object of '<frame>': [[x1, y1, x2, y2], ...]. Pixels of the video, frames from 0. Several
           boxes of a frame become their bounding box; boxes are interpolated for frames without one. --crop union
           crops all frames to the box around all boxes, --crop follow to a box of the largest size that moves with
           them, smoothed over --smooth frames.
  --masks  <masks>/<class>/<video>/*.png, one per frame, in the order of the numbers in their names, as large as the
           video. Pixels where a mask is 0 become --gray.

Writes <out>/<class>/<video>.mp4, train_1.txt to 3, test_1.txt to 3, classes.txt and a report, actor_hmdb51_report.csv.
Stopped and started again it goes on; a video that fails, as one without boxes does, is named and left out of the lists,
and the command exits with 1 at the end.

Uncertain: the reference implementation of Background Erasing mentions an Actor-HMDB51 without saying how it was made or
where it is. Both options are interpretations of its name; do not compare results on it with the authors'.
"""

from tbe.prepare.datasets.actor_hmdb51.command import add_arguments, run

__all__ = ["add_arguments", "run"]
