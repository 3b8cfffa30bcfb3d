"""Videos and lists of HAT's action swap: people of one video in front of another, people painted over.

Expects HAT's folders below --root, as `hat` has them, and one of its lists of pairs, such as actionswap_far_1.pickle:
{action: [background, its number of frames, its class]} with names '<class>/<video>'; only plain values are unpickled.
Takes the actions that --list has and writes below --out <class>/<video>.mp4, hat_far_1.txt with the labels of the
actions, hat_far_1_background.txt with those of the backgrounds, and a report, hat_swap_report.csv. Stopped and started
again it goes on; a video that fails is named and left out of the lists, and the command exits with 1 at the end.

As in HAT's loader frame i of T comes in front of frame round(i / T * S) of the background's S, made as large by its
short side; people are where a mask is above 128, and are moved so that in the first frame their center is that of the
people who were in the background. HAT takes the first frame that a network is shown, this the first of the video.
Chung, Wu and Russakovsky, NeurIPS 2022 Datasets and Benchmarks.

Unsure: read off the code of the repository princetonvisualai/HAT and its 12 lists of pairs, of Kinetics-400; the frames
and masks for download were not at hand. A video is encoded once more here, at 30 frames a second.
"""

from tbe.prepare.benchmarks.hat_swap.command import add_arguments, run

__all__ = ["add_arguments", "run"]
