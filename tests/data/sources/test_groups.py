import pytest

from tbe.data.sources import VideoLists


@pytest.fixture
def groups(tmp_path):
    def of(group):
        (tmp_path / "train.txt").write_text("a/x_1.mp4 0\nb/y_1.mp4 1\na/x_2.mp4 0\n")
        source = VideoLists("some", str(tmp_path), {"train": "train.txt"}, num_classes=2, val_share=0, groups=group)
        return source.groups("train")

    return of


def test_groups_are_told_by_an_expression_or_a_file(groups, tmp_path):
    (tmp_path / "groups.txt").write_text("b/y_1.mp4 ann\na/x_2.mp4 ann\na/x_1.mp4 bob\n")
    assert groups(r"/(\w)_").tolist() == [0, 1, 0]
    assert groups(str(tmp_path / "groups.txt")).tolist() == [1, 0, 0]
    assert groups(None) is None
    (tmp_path / "groups.txt").write_text("b/y_1.mp4 ann\na/x_2.mp4 ann\na/x_1.mp4 bob\nb/y_1.mp4 bob\n")
    with pytest.raises(ValueError, match=r"groups.txt:4: expected one group of 'b/y_1.mp4', got ann and bob"):
        groups(str(tmp_path / "groups.txt"))


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (r"a/(\w)", r"data.groups a/\(.w\): expected a group of each video, got none of 'b/y_1.mp4' \(1 such\)"),
        (r"a/\w", "data.groups: expected one group in brackets, got 0"),
        ("(", "data.groups: expected a regular expression or a file"),
    ],
)
def test_groups_that_are_not_told_are_named(groups, group, message):
    with pytest.raises(ValueError, match=message):
        groups(group)
