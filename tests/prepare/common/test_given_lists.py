from functools import partial

from tbe.prepare.common.given_lists import given_lists, write_again


def test_a_table_is_written_again_as_one_with_the_scenes_and_groups_of_what_was_made(tmp_path):
    (tmp_path / "train.csv").write_text("path,label,scene\na.avi,1,park\nb.avi,0,street\nc.avi,0,beach\n")
    (tmp_path / "test.txt").write_text("a.avi 1\n")
    given = given_lists(tmp_path, [tmp_path / "train.csv", tmp_path / "test.txt"])
    assert list(given.paths()) == ["a.avi", "b.avi", "c.avi"]
    write_again(given, tmp_path / "out", partial(map, {"a.avi": ("a.mp4", 9), "c.avi": ("c.mp4", 8)}.get))
    assert (
        tmp_path / "out" / "train.csv"
    ).read_text() == "path,label,num_frames,scene\na.mp4,1,9,park\nc.mp4,0,8,beach\n"
    assert (tmp_path / "out" / "test.txt").read_text() == "a.mp4 1 9\n"


def test_a_list_of_which_nothing_was_made_is_not_written_and_a_table_without_frames_has_no_column_of_them(
    tmp_path, capsys
):
    (tmp_path / "train.csv").write_text("path,label\na.avi,1\nb.avi,0\n")
    (tmp_path / "test.txt").write_text("c.avi 1\n")
    given = given_lists(tmp_path, [tmp_path / "train.csv", tmp_path / "test.txt"])
    assert list(given.rows["train"]) == [given.rows["train"][0], ("b.avi", 0)]
    write_again(given, tmp_path / "out", partial(map, {"b.avi": ("b.mp4", 0)}.get))
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["train.csv"]
    assert (tmp_path / "out" / "train.csv").read_text() == "path,label\nb.mp4,0\n"
    assert "train.csv: 1 videos, 1 left out" in (said := capsys.readouterr().out)
    assert "test.txt: not written, as no video is left" in said
