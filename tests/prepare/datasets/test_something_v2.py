import json

import pytest

LABELS = {"Covering something": "1", "Approaching something with your camera": "0"}
TRAIN = [
    {"id": "7", "label": "covering a cup", "template": "Covering [something]", "placeholders": ["a cup"]},
    {"id": "3", "label": "approaching", "template": "Approaching [something] with your camera", "placeholders": ["x"]},
]
FILES = {
    "something-something-v2-labels.json": json.dumps(LABELS),
    "something-something-v2-train.json": json.dumps(TRAIN),
    "something-something-v2-validation.json": json.dumps([{"id": "5", "template": "Covering [something]"}]),
    "something-something-v2-test.json": json.dumps([{"id": "9"}]),
}


def test_the_template_without_brackets_names_the_class(annotations, lists, rows, capsys):
    folder = lists("something_v2", "--annotations", annotations(FILES))
    assert rows(folder / "train.txt") == [("7.webm", 1), ("3.webm", 0)]
    assert rows(folder / "val.txt") == [("5.webm", 1)]
    assert (folder / "classes.txt").read_text() == "Approaching something with your camera\nCovering something\n"
    assert "something-something-v2-test.json: its videos have no label, so no test.txt" in capsys.readouterr().out
    assert not (folder / "test.txt").exists()


def test_short_file_names_and_another_suffix(annotations, lists, rows):
    folder = annotations({name.removeprefix("something-something-v2-"): text for name, text in FILES.items()})
    assert rows(lists("something_v2", "--annotations", folder, "--suffix", ".mp4") / "val.txt") == [("5.mp4", 1)]


def test_a_test_file_with_templates_becomes_a_list(annotations, lists, rows):
    test = json.dumps([{"id": "9", "template": "Covering [something]"}])
    folder = lists("something_v2", "--annotations", annotations({**FILES, "something-something-v2-test.json": test}))
    assert rows(folder / "test.txt") == [("9.webm", 1)]


def test_a_missing_part_is_reported(annotations, lists, capsys):
    folder = annotations(FILES)
    (folder / "something-something-v2-train.json").unlink()
    written = lists("something_v2", "--annotations", folder)
    assert "no something-something-v2-train.json or train.json, so no train.txt" in capsys.readouterr().out
    assert sorted(file.name for file in written.iterdir()) == ["classes.txt", "val.txt"]


def test_only_unlabeled_videos_are_refused(annotations, refused):
    folder = annotations({name: text for name, text in FILES.items() if "labels" in name or "test" in name})
    refused("expected a file with labels, train.json or validation.json", "something_v2", "--annotations", folder)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train", '[{"id": "7"}]', r"train.json: entry 1: expected id \(str\), template \(str\), got"),
        (
            "train",
            '[{"id": "7", "template": "Eating [something]"}]',
            r"entry 1: expected a template of the labels' file",
        ),
        (
            "train",
            '[{"id": "a", "template": "Covering something"}]',
            r"entry 1: expected a whole number as id, got 'a'",
        ),
        (
            "labels",
            '{"Covering": "0", "Eating": "2"}',
            r"labels.json: expected each label from 0 to 1 once, got none with 1",
        ),
        ("labels", '{"0": "Covering"}', r"labels.json: expected a whole number for '0'.* The columns look swapped"),
        ("labels", '["Covering"]', r"labels.json: expected an object of '<template>': '<label>'"),
    ],
)
def test_invalid_files_are_refused_with_their_place(annotations, refused, file, text, message):
    folder = annotations({**FILES, f"something-something-v2-{file}.json": text})
    refused(message, "something_v2", "--annotations", folder)


def test_missing_files_are_listed(refused, tmp_path):
    refused(
        r"expected one of something-something-v2-labels.json, labels.json", "something_v2", "--annotations", tmp_path
    )


def test_the_official_files_give_the_official_list(official, lists, rows, capsys):
    folder = lists("something_v2", "--annotations", official("something_something_v2"))
    assert "officially" not in capsys.readouterr().out
    videos = rows(folder / "val.txt")
    assert len(videos) == 24777
    assert {label for _, label in videos} == set(range(174))
    assert videos[0] == ("74225.webm", 140)
    assert (folder / "classes.txt").read_text().splitlines()[140] == "Spinning something that quickly stops spinning"
