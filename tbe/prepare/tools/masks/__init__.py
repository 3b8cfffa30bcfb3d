"""Makes masks of the people in videos: a video of mattes beside each video, whose luma is the alpha.

Takes the videos of lists, or all below --root, and writes <out>/<video>.mp4 with as many frames, as `composite --masks`
and data.masks read them. --by says how the people are found:

  matte        what differs from a plain wall: a smooth color is fitted to the median frame, and the alpha is the
               distance from it. The camera and the wall stay as they are; edges are soft.
  motion       what differs from the median frame, as the robustness task estimates it without masks. Supposes a static
               camera and people who do not stay in one place; too wide by a sixteenth of the picture.
  torchvision  what Mask R-CNN (COCO) takes for a person with a score above 0.5, in each frame by itself. Weights are
               looked for in torch's cache, or in --weights; nothing is downloaded. Give it a GPU.
  sam2         whom SAM 2 follows (pip install -e ".[sam2]") from boxes in the frame that shows most of them, to the end
               and to the beginning: people who are not in that frame are not found. --prompt says what the boxes are
               around: what moves (motion, for a camera at rest), or the people of Mask R-CNN (torchvision). --weights
               names a folder, or a repository of the Hub that is downloaded once. Give it a GPU, and --workers 1.

Writes masks_report.csv with the share of each video that is foreground, its frames without any, and what looks wrong
(most of the picture moves; no plain wall), and masks_sheet.png with a sample to look at. A video in which nobody is
found fails: it gets no masks, so that nothing takes empty ones for the truth. --against compares the masks with true
ones (masks_iou.csv). A stopped run resumes when it is started again; videos that fail are printed, and the command
exits with 1 at the end. The same videos and settings give the same masks.
"""

from tbe.prepare.tools.masks.command import add_arguments, run

__all__ = ["add_arguments", "run"]
