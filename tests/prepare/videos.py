"""Small videos for the tests of the commands."""

import struct


def lying(content, turns):
    """The bytes of an mp4 with a note to turn its pictures by so many quarters clockwise, as phones write it."""
    matrix = {0: (1, 0, 0, 1), 1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}[turns]
    a, b, c, d = (value << 16 for value in matrix)
    place = content.index(b"tkhd") + 44
    return content[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + content[place + 36 :]
