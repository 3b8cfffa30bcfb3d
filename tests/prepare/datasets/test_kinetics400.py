import pytest

HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"
VAL = HEADER + "hurling (sport),0wR5jVB-WPk,417,427,val,0\nair drumming,-caPS4FHFF8,36,46,val,1\n"
TRAIN = "youtube_id,label,split,time_start,time_end\n3yaoNwz99xM,air drumming,train,62,72\n"
DRUMMING, HURLING = "air drumming/-caPS4FHFF8_000036_000046.mp4", "hurling (sport)/0wR5jVB-WPk_000417_000427.mp4"


@pytest.fixture
def files(annotations):
    folder = annotations({"val.csv": VAL, "train.csv": TRAIN, "map.txt": "hurling (sport)\nair drumming\n"})
    return folder / "val.csv", folder / "train.csv", folder / "map.txt"


def test_rows_become_paths_whatever_the_order_of_columns(files, lists, rows):
    folder = lists("kinetics400", "--annotations", *files[:2])
    assert rows(folder / "val.txt") == [(HURLING, 1), (DRUMMING, 0)]
    assert rows(folder / "train.txt") == [("air drumming/3yaoNwz99xM_000062_000072.mp4", 0)]
    assert (folder / "classes.txt").read_text() == "air drumming\nhurling (sport)\n"


def test_a_label_map_orders_the_labels(files, lists, rows):
    folder = lists("kinetics400", "--annotations", files[0], "--label-map", files[2])
    assert rows(folder / "val.txt") == [(HURLING, 0), (DRUMMING, 1)]


def test_flat_folders_and_another_suffix(files, lists, rows):
    folder = lists("kinetics400", "--annotations", files[0], "--flat", "--suffix", ".webm")
    assert rows(folder / "val.txt")[0] == ("0wR5jVB-WPk_000417_000427.webm", 1)


def test_with_a_root_only_existing_videos_are_listed(files, lists, rows, tmp_path, capsys):
    root = tmp_path / "videos"
    (root / DRUMMING).parent.mkdir(parents=True)
    (root / DRUMMING).touch()
    folder = lists("kinetics400", "--annotations", *files[:2], "--root", root)
    assert rows(folder / "val.txt") == [(DRUMMING, 0)]
    assert not (folder / "train.txt").exists()
    said = capsys.readouterr().out
    assert f"{root}: 1 of the 2 val videos found, 1 missing" in said
    assert f"{root}: 0 of the 1 train videos found, 1 missing" in said


def test_a_root_without_any_of_the_videos_is_refused(files, refused, tmp_path):
    message = r"expected videos like 'hurling \(sport\)/0wR5jVB-WPk_000417_000427.mp4', found none. See --flat"
    refused(message, "kinetics400", "--annotations", files[0], "--root", tmp_path)


def test_repeated_rows_count_once_and_are_reported(files, lists, rows, capsys):
    assert len(rows(lists("kinetics400", "--annotations", files[0], files[0]) / "val.txt")) == 2
    assert "2 rows are repeated and count once" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            VAL.removeprefix(HEADER),
            r"val.csv:1: expected a header with label, youtube_id, .*; missing label, youtube_id",
        ),
        (HEADER.replace("label,", "") + "a,1,2,val,0", r"val.csv:1: .*; missing label in 'youtube_id,"),
        ("", r"val.csv:1: expected a header"),
        (
            HEADER + "0wR5jVB-WPk,air drumming,36,46,val,0",
            r"val.csv:2: expected a label and .* The columns look swapped",
        ),
        (HEADER + "air drumming,#NAME?,36,46,val,0", r"val.csv:2: .*youtube_id of 11 characters, got .*#NAME\?.*\]\.$"),
        (HEADER + "air drumming,0wR5jVB-WPk,46,36,val,0", r"expected seconds time_start < time_end, .*look swapped"),
        (HEADER + "air drumming,0wR5jVB-WPk,1.5,36,val,0", r"got '1.5' and '36'.$"),
        (
            HEADER + "air drumming,0wR5jVB-WPk,36,46,all,0",
            r"val.csv:2: expected a split among train, val, .*, got 'all'",
        ),
        (HEADER + "air drumming,0wR5jVB-WPk,36,46,val", r"val.csv:2: expected 6 fields like the header, got"),
        (HEADER + "rowing,0wR5jVB-WPk,36,46,val,0", r"val.csv:2: expected a class of .*map.txt, got 'rowing'"),
    ],
)
def test_invalid_files_are_refused_with_their_place(annotations, files, refused, text, message):
    annotations({"val.csv": text})
    refused(message, "kinetics400", "--annotations", files[0], "--label-map", files[2])


def test_missing_files_are_named(files, refused, tmp_path):
    refused(r"missing: gone.csv", "kinetics400", "--annotations", tmp_path / "gone.csv")
    refused(r"missing: gone.txt", "kinetics400", "--annotations", files[0], "--label-map", tmp_path / "gone.txt")


def test_the_official_files_give_the_official_list(official, lists, rows, capsys):
    folder = official("kinetics400")
    options = ["--annotations", folder / "kinetics_val.csv"]
    by_name = rows(lists("kinetics400", *options) / "val.txt")
    written = lists("kinetics400", *options, "--label-map", folder / "label_map_k400.txt")
    assert "officially" not in capsys.readouterr().out
    videos = rows(written / "val.txt")
    classes = (written / "classes.txt").read_text().splitlines()
    assert videos == by_name
    assert (len(videos), len(classes)) == (19906, 400)
    assert videos[0] == ("abseiling/0wR5jVB-WPk_000417_000427.mp4", 0)
    assert all(path.split("/")[0] == classes[label] for path, label in videos)
