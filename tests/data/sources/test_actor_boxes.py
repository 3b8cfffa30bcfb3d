import numpy as np
import pytest

from tbe.data.sources.actor_boxes import interpolate_boxes, read_boxes


def test_boxes_are_interpolated_between_known_ones():
    boxes = {2: np.array([0.0, 0, 10, 10]), 4: np.array([20.0, 0, 30, 10])}
    assert interpolate_boxes(boxes, np.array([0, 2, 3, 4, 9]))[:, 0].tolist() == [0, 0, 10, 20, 20]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "3,1,2,11,12\n3,5,0,9,30\n0,1,1,2,2\n", {3: [1, 0, 11, 30], 0: [1, 1, 2, 2]}),
        ("a.json", "[[3, 1, 2, 11, 12], [3, 5, 0, 9, 30]]", {3: [1, 0, 11, 30]}),
        ("a.json", '{"3": [[1, 2, 11, 12], [5, 0, 9, 30]], "4": []}', {3: [1, 0, 11, 30]}),
    ],
)
def test_several_boxes_of_a_frame_become_their_bounding_box(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    assert {frame: box.tolist() for frame, box in read_boxes(tmp_path, "a").items()} == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "frame,x1,y1,x2,y2\n", "a.csv: expected at least one box, got none"),
        ("a.csv", "0,1,2,3\n", r"a.csv:1: expected <frame>,x1,y1,x2,y2, got \['0', '1', '2', '3'\]"),
        ("a.csv", "0,1,2,3,x\n", "a.csv:1: expected <frame>,x1,y1,x2,y2, got"),
        ("a.csv", "0,11,2,3,4\n", "a.csv:1: expected .* with a frame from 0, x1 < x2 and y1 < y2"),
        ("a.csv", "-1,1,2,3,4\n", "a.csv:1: expected .* with a frame from 0"),
        ("a.csv", "0,1,2,nan,4\n", "a.csv:1: expected .* x1 < x2"),
        ("a.json", '{"boxes": 3}', r"a.json: expected a list of rows \[<frame>,x1,y1,x2,y2\], or an object of frames"),
        ("a.json", "[3]", "a.json: box 1: expected <frame>,x1,y1,x2,y2, got 3"),
        ("b.csv", "0,1,2,3,4\n", "a.csv: expected boxes there or as .json, got neither"),
    ],
)
def test_invalid_boxes_are_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_boxes(tmp_path, "a")
