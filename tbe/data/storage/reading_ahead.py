"""Reads pieces in threads before they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from tbe.data.storage.pieces import Piece


class ReadingAhead:
    """Calls read(piece) in threads, for up to `num` pieces that nobody has taken yet, in the order given."""

    def __init__(self, read: Callable[[Piece], bytes], num: int):
        self.read = read
        self.num = num
        self.threads = ThreadPoolExecutor(num, "reading-ahead")
        self.waiting: deque[Piece] = deque()
        self.begun: dict[Piece, Future[bytes]] = {}

    def begin(self, pieces: Iterable[Piece]) -> None:
        """Goes on with these pieces; what was begun of others and not taken is left to its end."""
        wanted = dict.fromkeys(pieces)
        self.begun = {piece: begun for piece, begun in self.begun.items() if piece in wanted}
        self.waiting = deque(piece for piece in wanted if piece not in self.begun)
        self._fill()

    def wait(self, piece: Piece) -> None:
        """Waits until a piece is read, or can't be."""
        if piece not in self.begun:
            self.begun[piece] = self.threads.submit(self.read, piece)
        wait([self.begun[piece]])

    def take(self, piece: Piece) -> bytes:
        """Returns a piece, or raises what reading it has raised; then reads others."""
        begun = self.begun.pop(piece, None)
        try:
            return begun.result() if begun else self.read(piece)
        finally:
            self._fill()

    def _fill(self) -> None:
        while self.waiting and len(self.begun) < self.num:
            piece = self.waiting.popleft()
            if piece not in self.begun:
                self.begun[piece] = self.threads.submit(self.read, piece)
