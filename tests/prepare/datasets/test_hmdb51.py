import pytest

FILES = {
    f"{name}_test_split{split}.txt": f"{name}_a.avi 1 \n#20_{name} b.avi 2 \n{name}_c.avi 0 \n"
    for name in ("wave", "brush_hair")
    for split in (1, 2, 3)
}


def test_ids_select_the_split_and_unused_videos_are_left_out(annotations, lists, rows):
    folder = lists("hmdb51", "--annotations", annotations({**FILES, "wave_test_split3.txt": "x.avi 2\ny.avi 1"}))
    assert rows(folder / "train_1.txt") == [("brush_hair/brush_hair_a.avi", 0), ("wave/wave_a.avi", 1)]
    assert rows(folder / "test_1.txt") == [("brush_hair/#20_brush_hair b.avi", 0), ("wave/#20_wave b.avi", 1)]
    assert rows(folder / "test_3.txt")[1] == ("wave/x.avi", 1)
    assert (folder / "classes.txt").read_text() == "brush_hair\nwave\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.avi 1\nb.avi 3", r"wave_test_split2.txt:2: expected '<video> <id>' with an id of 0, 1 or 2, got 'b.avi 3'"),
        ("1 a.avi", r"wave_test_split2.txt:1: expected '<video> <id>'.* The columns look swapped"),
        ("a.avi", r"wave_test_split2.txt:1: expected '<video> <id>', got 'a.avi'.$"),
        ("wave/a.avi 1", r"wave_test_split2.txt:1: expected '<video> <id>'"),
    ],
)
def test_invalid_files_are_refused_with_their_place(annotations, refused, text, message):
    refused(message, "hmdb51", "--annotations", annotations({**FILES, "wave_test_split2.txt": text}))


def test_missing_files_are_listed(annotations, refused, tmp_path):
    folder = annotations(FILES)
    (folder / "wave_test_split2.txt").unlink()
    refused(r"missing: wave_test_split2.txt", "hmdb51", "--annotations", folder)
    refused(r"expected <class>_test_split<1 to 3>.txt, found none", "hmdb51", "--annotations", tmp_path)


def test_the_official_files_give_the_official_lists(official, lists, rows, capsys):
    folder = lists("hmdb51", "--annotations", official("hmdb51"))
    assert "officially" not in capsys.readouterr().out
    classes = (folder / "classes.txt").read_text().splitlines()
    assert len(classes) == 51
    for split in (1, 2, 3):
        train, test = rows(folder / f"train_{split}.txt"), rows(folder / f"test_{split}.txt")
        assert (len(train), len(test)) == (3570, 1530)
        assert all(path.split("/")[0] == classes[label] for path, label in train + test)
        assert [sum(label == wanted for _, label in test) for wanted in range(51)] == [30] * 51
