"""Random corruptions of the bytes of a file."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


def flipped(content: bytes, chance: Random) -> bytes:
    """Replaces one, ten or two hundred bytes."""
    spoiled = bytearray(content)
    for _ in range(chance.choice([1, 10, 200])):
        spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
    return bytes(spoiled)


def truncated(content: bytes, chance: Random) -> bytes:
    """Removes the end, possibly everything."""
    return content[: chance.randrange(len(content))]


def with_a_hole(content: bytes, chance: Random) -> bytes:
    """Removes up to 2,000 bytes somewhere."""
    start = chance.randrange(len(content))
    return content[:start] + content[start + chance.randrange(1, 2000) :]


def doubled(content: bytes, chance: Random) -> bytes:
    """Duplicates up to 2,000 bytes."""
    start = chance.randrange(len(content))
    end = start + chance.randrange(1, 2000)
    return content[:end] + content[start:]


def begun_as_another(content: bytes, chance: Random, others: Sequence[bytes] = ()) -> bytes:
    """Replaces the head by that of another file."""
    return chance.choice(others)[: chance.randrange(4, 2000)] + content[chance.randrange(4, 2000) :]


def with_another_byte(content: bytes, chance: Random) -> bytes:
    """Flips one bit."""
    spoiled = bytearray(content)
    spoiled[chance.randrange(len(spoiled))] ^= 1 << chance.randrange(8)
    return bytes(spoiled)
