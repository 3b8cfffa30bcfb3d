"""Decodes every video of a list from its first to its last frame.

Writes a report, one row a video (path,label,status,frames,height,width,reason), and a clean list of those that decode,
with the true number of frames as third column. The status is ok, failed (the decoder refuses it), timeout, or crashed
(the process ended). Stopped and started again it goes on: videos in the report are not decoded again. Exits 1 if any
video failed. A file cut off in a container that can be read up to there (avi, mkv) passes, with fewer frames.
"""

from tbe.prepare.verify.command import add_arguments, run

__all__ = ["add_arguments", "run"]
