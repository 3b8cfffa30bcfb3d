"""Many texts in one buffer."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from tbe.data.sources.records import make_records, read_list
from tbe.data.sources.text_columns import TextColumn


def texts_of(seed, count=300):
    rng = np.random.default_rng(seed)
    return [rng.bytes(int(length)).replace(b"\n", b"") for length in rng.integers(0, 40, count)]


@pytest.mark.parametrize("seed", range(3))
def test_a_column_behaves_like_a_list_of_its_texts(seed, monkeypatch):
    monkeypatch.setattr("tbe.data.sources.text_columns.CHUNK", 64)
    texts = texts_of(seed)
    column = TextColumn.of(texts)
    chosen = np.random.default_rng(seed).integers(0, len(texts), 50)
    parts = {"all": (column, texts), "some": (column[chosen], [texts[place] for place in chosen])}
    parts["slice"] = (column[5:90:4][1:], texts[5:90:4][1:])
    parts["mask"] = (column[chosen][chosen > 100], [texts[place] for place in chosen if place > 100])
    parts["none"] = (column[:0], [])
    for found, expected in parts.values():
        assert len(found) == len(expected)
        assert found.tolist() == expected == [found[place] for place in range(len(expected))]
        assert list(map(bytes, np.asarray(found))) == expected
        assert found.tobytes() == b"".join(text + b"\n" for text in expected)
        assert pickle.loads(pickle.dumps(found)).tolist() == expected
    assert column[-1] == texts[-1]
    assert column.index(texts[7]) == texts.index(texts[7])


def test_memory_grows_with_the_total_length_not_the_longest_text(tmp_path):
    lines = [f"videos/{number:06d}.mp4 {number % 7}" for number in range(5000)]
    long = "x" * 3800
    (tmp_path / "list.txt").write_text("\n".join([*lines, f"{long} 0"]))
    listed = read_list(tmp_path / "list.txt", tmp_path)
    made = make_records(tmp_path, [line.split()[0] for line in lines] + [long], [0] * 5001, [0] * 5001)
    for records in (listed, made):
        assert records.paths[5000] == long.encode()
        assert len(pickle.dumps(records)) < 5001 * 60 + 3800
        assert len(pickle.dumps(records.select(np.arange(10)))) < 2000  # a part takes the others not along


def path_of(records, index):
    return records.path(index)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_records_reach_workers_of_any_start_method(method):
    records = make_records("/r", ["a b.mp4", "ü.mp4", "c.mp4"], [0, 1, 2], [0, 0, 0]).select(np.array([2, 1]))
    if method == "spawn":  # what a process of this kind is handed
        assert path_of(pickle.loads(pickle.dumps(records)), 1) == "/r/ü.mp4"
        return
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as workers:
        assert workers.submit(path_of, records, 1).result() == "/r/ü.mp4"
