"""Videos and lists of Actor-HMDB51: HMDB51 with the actor, and as little of the background as can be.

Expects the videos of HMDB51, <root>/<class>/<video>.avi, its official splits as `hmdb51` reads them, and where the
actors are, which you have a detector find:

  --boxes  <boxes>/<class>/<video>.csv with lines '<frame>,x1,y1,x2,y2' (a header is passed over), or .json with a list
           of such rows or an object of '<frame>': [[x1, y1, x2, y2], ...]. Pixels of the video, frames from 0. Several
           boxes of a frame count as the one around them; frames without a box take theirs from the frames about them.
           --crop union cuts all frames to the box around all boxes, --crop follow to one that is as large as the
           largest and moves with them, smoothed over --smooth frames.
  --masks  <masks>/<class>/<video>/*.png, one a frame, in the order of the numbers in their names, as large as the
           video. Where a mask is 0 the picture becomes --gray.

Writes <out>/<class>/<video>.mp4, train_1.txt to 3, test_1.txt to 3, classes.txt and a report, actor_hmdb51_report.csv.
Stopped and started again it goes on; a video that fails, as one without boxes does, is named and left out of the lists,
and the command exits with 1 at the end.

Unsure: the reference implementation of Background Erasing names an Actor-HMDB51 and says neither how it was made nor
where it is. Both ways here are readings of its name; results on it are not to be compared with its authors'.
"""

from tbe.prepare.datasets.actor_hmdb51.command import add_arguments, run

__all__ = ["add_arguments", "run"]
