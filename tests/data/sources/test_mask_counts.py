import numpy as np
import pytest

from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.sources.actor_masks import ActorMasks
from tbe.data.sources.mask_counts import check_one_video_each
from tbe.data.sources.video_lists import VideoLists
from tbe.data.video_writer import write_video


@pytest.mark.parametrize("per_frame", [1, 2])
def test_masks_of_another_frame_rate_are_refused_and_soft_ones_without_a_level_warned_of(
    per_frame, video_folder, tmp_path, caplog
):
    num_frames = len(PyAvReader(1)(str(video_folder / "class 0/video 8.mp4")))
    masks = np.full((per_frame * num_frames, 32, 40, 3), 255, np.uint8)
    write_video(tmp_path / "class 0/video 8.mp4", masks, fps=10)
    lists = {"train": "train.txt", "test": "test.txt"}
    data = VideoLists("mine", str(video_folder), lists, num_classes=2, masks=str(tmp_path))
    if per_frame == 1:
        data.prepare()
        assert "data.mask_above=0: masks of test are videos, in which soft edges" in caplog.text
        return
    message = f"a mask of each of the {num_frames} frames of class 0/video 8.mp4, got {2 * num_frames}"
    with pytest.raises(ValueError, match=message):
        data.prepare()


def test_masks_on_their_side_are_refused(video_folder, tmp_path):
    num_frames = len(PyAvReader(1)(str(video_folder / "class 0/video 8.mp4")))
    write_video(tmp_path / "class 0/video 8.mp4", np.full((num_frames, 40, 32, 3), 255, np.uint8), fps=10)
    lists = {"train": "train.txt", "test": "test.txt"}
    data = VideoLists("mine", str(video_folder), lists, num_classes=2, masks=str(tmp_path))
    with pytest.raises(ValueError, match="expected masks shaped like class 0/video 8.mp4, 32 x 40, got 40 x 32: turn"):
        data.prepare()


def test_two_videos_of_one_name_do_not_share_masks(tmp_path):
    (tmp_path / "masks/run/a").mkdir(parents=True)
    masks = ActorMasks(str(tmp_path / "masks"))
    check_one_video_each(masks, ["run/a.mp4", "./run/a.mp4", "run/b.mp4"], "test")
    for one, other in (("run/a.mp4", "run/a.avi"), ("/first/run/a.mp4", "/second/run/a.mp4")):
        with pytest.raises(ValueError, match=f"masks/run/a, got two of test that have theirs there, {one} and {other}"):
            check_one_video_each(masks, [one, other], "test")
