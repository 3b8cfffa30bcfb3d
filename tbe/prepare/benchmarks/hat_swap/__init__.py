"""Makes the videos and lists of HAT's action swap: the people of one video in front of another, inpainted one.

Expects HAT's folders below --root, as `hat` has them, and one of its lists of pairs, such as actionswap_far_1.pickle:
{action: [background, its number of frames, its class]} with names '<class>/<video>'; only plain values are unpickled.
Takes the actions that --list has and writes below --out <class>/<video>.mp4, hat_far_1.txt with the labels of the
actions, hat_far_1_background.txt with those of the backgrounds, and a report, hat_swap_report.csv. Stopped and started
again it goes on; a video that fails is named and left out of the lists, and the command exits with 1 at the end.

As in HAT's loader, frame i of T is put in front of frame round(i / T * S) of the background's S, resized to the same
short side; people are where a mask is above 128, moved so that in the first frame their center is that of the people
inpainted in the background. HAT uses the first frame shown to the network, this command the first of the video.
Chung, Wu and Russakovsky, NeurIPS 2022 Datasets and Benchmarks.

Uncertain: this follows the code of the repository princetonvisualai/HAT and its 12 lists of pairs, of Kinetics-400; it
was not checked against the downloads of frames and masks. Videos are re-encoded, at 30 frames per second.
"""

from tbe.prepare.benchmarks.hat_swap.command import add_arguments, run

__all__ = ["add_arguments", "run"]
