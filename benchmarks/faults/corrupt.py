"""Ways in which the bytes of a file are spoiled, each drawn by a `random.Random`."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


def flipped(content: bytes, chance: Random) -> bytes:
    """One, ten or two hundred bytes are others."""
    spoiled = bytearray(content)
    for _ in range(chance.choice([1, 10, 200])):
        spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
    return bytes(spoiled)


def truncated(content: bytes, chance: Random) -> bytes:
    """The end is missing, perhaps all of it."""
    return content[: chance.randrange(len(content))]


def with_a_hole(content: bytes, chance: Random) -> bytes:
    """Up to 2,000 bytes are missing somewhere."""
    start = chance.randrange(len(content))
    return content[:start] + content[start + chance.randrange(1, 2000) :]


def doubled(content: bytes, chance: Random) -> bytes:
    """Up to 2,000 bytes come twice."""
    start = chance.randrange(len(content))
    end = start + chance.randrange(1, 2000)
    return content[:end] + content[start:]


def begun_as_another(content: bytes, chance: Random, others: Sequence[bytes] = ()) -> bytes:
    """The head is that of one of the others."""
    return chance.choice(others)[: chance.randrange(4, 2000)] + content[chance.randrange(4, 2000) :]


def with_another_byte(content: bytes, chance: Random) -> bytes:
    """One bit is another."""
    spoiled = bytearray(content)
    spoiled[chance.randrange(len(spoiled))] ^= 1 << chance.randrange(8)
    return bytes(spoiled)
