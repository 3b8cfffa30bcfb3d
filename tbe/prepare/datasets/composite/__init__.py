"""Videos and lists of your own actors in front of other places: a data set whose background bias is known.

Takes videos with labels, mattes of their actors, and pictures or videos of places. Action a owns place a % places.
Writes below --out H.264 videos and the lists

  train   videos of the groups to train on; a share of --bias of each action's in its own place, the rest in others
  iid     videos of the groups to test on, in places as those of train
  swap    the same, each in the place of another action
  novel   the same, in places that are held out (--novel)
  plain   the same, as filmed

with labels of the actions, scenes/<list>.txt with those of the places, masks/ with the matte of each video, plan.csv,
which says of each video who does what where, and sheet.png, some of them to be looked at. A --bias of 1 / places is
none.

  --masks        <masks>/<video without suffix>/*.png, one a frame, or a video of as many frames, <masks>/<video without
                 suffix>.mp4 (or another suffix), whose luma is the alpha. Boxes are refused: what they hold of the
                 filmed place would tell it.
  --backgrounds  files or folders. Of a video the median of its frames is the place, so that nobody walks through it;
                 with --behind moving its frames play, forwards and backwards.
  --group        whom a video shows: a regular expression with one group, searched in its path, as 'signer(\\d+)'; or a
                 file of lines '<path> <group>'. No group is both trained on and tested on.

Pictures are scaled to cover --size and cut about their middle, or keep their shape with --short-side. Mattes are moved
in by --shrink pixels and blended in linear light (the curve of sRGB); what half covered pixels show of the actor is
told from those about them: no rim of the filmed place should be left. Stopped and started again it goes on; a video
that fails is named and left out of the lists, and the command exits with 1 at the end. The same seed and files give the
same plan and pictures.
"""

from tbe.prepare.datasets.composite.command import add_arguments, run

__all__ = ["add_arguments", "run"]
