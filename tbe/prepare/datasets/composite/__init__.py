"""Makes videos and lists of your own actors in front of other places: a data set with known background bias.

Takes labelled videos, mattes of their actors, and pictures or videos of places. Action a owns place a % places.
Writes below --out H.264 videos and the lists

  train   videos of the training groups; a share --bias of each action's in its own place, the rest in others
  iid     videos of the test groups, in places distributed as in train
  swap    the same, each in the place of another action
  novel   the same, in held-out places (--novel)
  plain   the same, as filmed

with action labels, scenes/<list>.txt with place labels, masks/ with the matte of each video, plan.csv with the actor,
action and place of each video, and sheet.png with a sample of them. A --bias of 1 / places means no bias.

  --masks        <masks>/<video without suffix>/*.png, one per frame, or a video of as many frames, <masks>/<video
                 without suffix>.mp4 (or another suffix), whose luma is the alpha. Boxes are refused: the filmed place
                 inside them would reveal the original background.
  --backgrounds  files or folders. The place of a video is the median of its frames, without passers-by; with --behind
                 moving its frames are played, forwards and backwards.
  --group        whom a video shows: a regular expression with one group, searched in its path, as 'signer(\\d+)'; or a
                 file of lines '<path> <group>'. No group is both trained on and tested on.

Frames are scaled to cover --size and center-cropped, or keep their aspect with --short-side. The outlines of mattes are
moved inwards by --shrink pixels, and mattes blended in linear light (sRGB); the actor's color in partly covered pixels
is estimated from their surroundings, so that no rim of the filmed place remains. A stopped run resumes when it is
started again; videos that fail are printed and left out of the lists, and the command exits with 1 at the end. The
same seed and files give the same plan and pictures.
"""

from tbe.prepare.datasets.composite.command import add_arguments, run

__all__ = ["add_arguments", "run"]
