"""Small videos for the command tests."""

import struct

# How pictures are to be shown, as the (a, b, c, d) of a matrix: turned, or mirrored (left and right) and then turned.
MATRICES = {
    "upright": (1, 0, 0, 1),
    "right": (0, 1, -1, 0),
    "half": (-1, 0, 0, -1),
    "left": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "mirrored_right": (0, -1, -1, 0),
    "mirrored_half": (1, 0, 0, -1),
    "mirrored_left": (0, 1, 1, 0),
}


def lying(content, turns):
    """Returns an mp4 with a display matrix that rotates it by so many clockwise quarter turns, as phones write it."""
    return with_matrix(content, MATRICES[("upright", "right", "half", "left")[turns]])


def with_matrix(content, matrix):
    """Returns an mp4 with another display matrix."""
    a, b, c, d = (value << 16 for value in matrix)
    place = content.index(b"tkhd") + 44
    return content[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + content[place + 36 :]
