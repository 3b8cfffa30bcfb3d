import pytest

FILES = {
    "something-something-v1-labels.csv": "Turning something\nHolding something, then dropping it\n",
    "something-something-v1-train.csv": "100218;Holding something, then dropping it\n24413;Turning something\n",
    "something-something-v1-validation.csv": "74225;Turning something\n",
}


def test_labels_follow_the_lines_of_the_labels_file(annotations, lists, rows):
    folder = lists("something_v1", "--annotations", annotations(FILES))
    assert rows(folder / "train.txt") == [("100218", 1), ("24413", 0)]
    assert rows(folder / "val.txt") == [("74225", 0)]
    assert (folder / "classes.txt").read_text() == "Turning something\nHolding something, then dropping it\n"


def test_a_missing_part_is_reported(annotations, lists, capsys):
    folder = annotations(FILES)
    (folder / "something-something-v1-validation.csv").unlink()
    assert not (lists("something_v1", "--annotations", folder) / "val.txt").exists()
    assert "no something-something-v1-validation.csv, so no val.txt" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train", "1;Turning something\n2", r"train.csv:2: expected '<id>;<class>', got '2'.$"),
        ("train", "Turning something;1", r"train.csv:1: expected '<id>;<class>'.* The columns look swapped"),
        ("train", "1,Turning something", r"train.csv:1: expected '<id>;<class>', got '1,Turning something'"),
        ("train", "1;Eating", r"train.csv:1: expected a class of something-something-v1-labels.csv, got 'Eating'"),
        ("train", "74225;Turning something", r"train and val: expected no video in both, got '74225'"),
        ("labels", "Turning;0", r"labels.csv:1: expected one new class per line, got 'Turning;0'"),
        ("labels", "Turning\nTurning", r"labels.csv:2: expected one new class per line, got 'Turning'"),
    ],
)
def test_invalid_files_are_refused_with_their_place(annotations, refused, file, text, message):
    folder = annotations({**FILES, f"something-something-v1-{file}.csv": text})
    refused(message, "something_v1", "--annotations", folder)


def test_missing_files_are_listed(annotations, refused, tmp_path):
    refused(r"missing: something-something-v1-labels.csv", "something_v1", "--annotations", tmp_path)
    folder = annotations({"something-something-v1-labels.csv": "Turning"})
    refused(r"expected one of something-something-v1-train.csv, ", "something_v1", "--annotations", folder)
