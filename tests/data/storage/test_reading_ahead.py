import threading

from tbe.data.storage.pieces import Piece
from tbe.data.storage.reading_ahead import ReadingAhead

PIECES = [Piece(str(number)) for number in range(8)]


def test_what_is_read_of_the_next_batch_is_not_read_again_when_it_begins():
    asked, read_all = [], threading.Event()

    def read(piece):
        asked.append(piece)
        if len(asked) == 4:
            read_all.set()
        return piece.file.encode()

    ahead = ReadingAhead(read, 2)
    ahead.begin(PIECES[:4])  # two batches of two
    assert [ahead.take(piece) for piece in PIECES[:2]] == [b"0", b"1"]
    assert read_all.wait(10)  # the second batch, before anybody asks for it
    ahead.begin(PIECES[2:6])
    assert [ahead.take(piece) for piece in PIECES[2:6]] == [b"2", b"3", b"4", b"5"]
    assert sorted(asked) == PIECES[:6]


def test_no_more_is_read_in_advance_than_was_asked_for():
    ahead = ReadingAhead(lambda piece: b"", 3)
    ahead.begin(PIECES)
    assert len(ahead.begun) == 3
    ahead.begin(PIECES[4:])  # what was begun of the others is given up
    assert list(ahead.begun) == PIECES[4:7]
