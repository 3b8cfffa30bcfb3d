import json

import pytest

from tbe.data.sources.records import read_list


def entry(name, label, start=0, end=30):
    return {"vid_name": name, "label": label, "start_frame": start, "end_frame": end}


FILES = {
    "Diving48_V2_train.json": json.dumps([entry("b_1", 1), entry("-a_2", 0, 2, 50)]),
    "Diving48_V2_test.json": json.dumps([entry("c_1", 1)]),
    "Diving48_vocab.json": json.dumps([["Back", "15som"], ["Reverse", "25som"]]),
}


def test_lists_have_the_published_number_of_frames(annotations, lists, rows):
    folder = lists("diving48", "--annotations", annotations(FILES))
    assert rows(folder / "train.txt") == [("b_1.mp4", 1), ("-a_2.mp4", 0)]
    assert read_list(folder / "train.txt", "").num_frames.tolist() == [30, 48]
    assert (folder / "classes.txt").read_text() == "Back 15som\nReverse 25som\n"


def test_the_suffix_can_be_chosen(annotations, lists, rows):
    assert rows(lists("diving48", "--annotations", annotations(FILES), "--suffix", ".avi") / "test.txt") == [
        ("c_1.avi", 1)
    ]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train", '[{"vid_name": 3}]', r"train.json: entry 1: expected vid_name \(str\), label \(int\), .*, got .*: 3"),
        (
            "train",
            json.dumps([entry("a", 0), entry("b", 2)]),
            r"train.json: entry 2: expected a label from 0 to 1, got 2",
        ),
        ("test", json.dumps([entry("a", 0, 9, 9)]), r"test.json: entry 1: expected 0 <= start_frame < end_frame"),
        ("test", '[\n{"vid_name": "a",\n', r"test.json:3: expected json, got an error"),
        ("test", "{}", r"test.json: expected a list of entries, got dict"),
        ("test", json.dumps([entry("b_1", 1)]), r"train and test: expected no video in both, got 'b_1.mp4'"),
    ],
)
def test_invalid_files_are_refused_with_their_place(annotations, refused, file, text, message):
    refused(message, "diving48", "--annotations", annotations({**FILES, f"Diving48_V2_{file}.json": text}))


@pytest.mark.parametrize("text", ["{}", '[["Back"], 3]'])
def test_an_invalid_vocabulary_is_refused(annotations, refused, text):
    refused(
        r"vocab.json: .*expected a list",
        "diving48",
        "--annotations",
        annotations({**FILES, "Diving48_vocab.json": text}),
    )


def test_missing_files_are_listed(refused, tmp_path):
    message = r"expected Diving48_V2_train.json, Diving48_V2_test.json, Diving48_vocab.json; missing: Diving48_V2_train"
    refused(message, "diving48", "--annotations", tmp_path)


def test_the_official_files_give_the_official_lists(official, lists, rows, capsys):
    folder = lists("diving48", "--annotations", official("diving48"))
    assert "officially" not in capsys.readouterr().out
    train, test = rows(folder / "train.txt"), rows(folder / "test.txt")
    assert (len(train), len(test)) == (15027, 1970)
    assert len((folder / "classes.txt").read_text().splitlines()) == 48
    assert {label for _, label in train} == set(range(48)) - {30}
    assert train[0] == ("-mmq0PT-u8k_00155.mp4", 0)
    assert read_list(folder / "train.txt", "").num_frames[0] == 48
