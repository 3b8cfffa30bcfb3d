from tbe.prepare.common.given_lists import given_lists, write_again


def test_a_table_is_written_again_as_one_with_the_scenes_and_groups_of_what_was_made(tmp_path):
    (tmp_path / "train.csv").write_text("path,label,scene\na.avi,1,park\nb.avi,0,street\nc.avi,0,beach\n")
    (tmp_path / "test.txt").write_text("a.avi 1\n")
    given = given_lists(tmp_path, [tmp_path / "train.csv", tmp_path / "test.txt"])
    assert given.paths() == ["a.avi", "b.avi", "c.avi"]
    write_again(given, tmp_path / "out", {"a.avi": ("a.mp4", 9), "c.avi": ("c.mp4", 8)})
    assert (
        tmp_path / "out" / "train.csv"
    ).read_text() == "path,label,num_frames,scene\na.mp4,1,9,park\nc.mp4,0,8,beach\n"
    assert (tmp_path / "out" / "test.txt").read_text() == "a.mp4 1 9\n"
