import io

import numpy as np
import pytest

from tbe.data.storage.pieces import LostPiece, Places
from tbe.data.storage.shard_index import ShardIndex, lines, read_index


def index_of(shards=("a-000000.tar", "b-000000.tar"), shard=(0, 1, 1), paths=("x.mp4", "y z.mp4", "ü.mp4"), offset=512):
    columns = (np.array(column) for column in (shard, [offset, 0, 5], [10, 20, 30], [1, 2, 2**32 - 1]))
    texts = {"path": lines(paths), "scene": lines(["", "", "hall"]), "group": lines([""] * 3)}
    return ShardIndex(Places(shards, *columns), {"label": np.arange(3), "num_frames": np.arange(3)}, texts)


def written(index, tmp_path):
    index.write(tmp_path / "index.npz")
    return (tmp_path / "index.npz").read_bytes()


def test_an_index_is_read_as_it_was_written_and_finds_paths_in_any_order(tmp_path):
    index = read_index(written(index_of(), tmp_path), "index.npz")
    places = index.places_of(["ü.mp4".encode(), b"nowhere.mp4", b"x.mp4"])
    assert places.piece(0) == ("b-000000.tar", 5, 30, 2**32 - 1)
    assert places.piece(2) == places.select(np.array([2])).piece(0) == ("a-000000.tar", 512, 10, 1)
    assert [places.has(position) for position in range(3)] == [True, False, True]
    with pytest.raises(LostPiece, match="expected it in one of the shards"):
        places.piece(1)
    assert list(index.column("scene")) == ["", "", "hall"]


@pytest.mark.parametrize(
    ("index", "why"),
    [
        (index_of(shards=("../a.tar", "b.tar")), "do not lie beside it"),
        (index_of(shard=(0, 1, 2)), "shards that it does not name"),
        (index_of(offset=-1), "negative places"),
        (index_of(paths=("x.mp4",)), "columns of 1 and 3 rows"),
    ],
)
def test_an_index_that_leads_elsewhere_is_refused(index, why, tmp_path):
    with pytest.raises(ValueError, match=rf"here: expected the index that .* writes, got another file \(.*{why}\)"):
        read_index(written(index, tmp_path), "here")


def test_another_file_in_place_of_an_index_is_refused(tmp_path):
    objects = io.BytesIO()
    np.savez(objects, version=np.array([{}], dtype=object))
    for content in (b"", b"text", written(index_of(), tmp_path)[:500], objects.getvalue()):
        with pytest.raises(ValueError, match="expected the index that 'python -m tbe.prepare shards' writes"):
            read_index(content, "here")
