import numpy as np
import pytest

from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.sources.video_lists import VideoLists
from tbe.data.video_writer import write_video


@pytest.mark.parametrize("per_frame", [1, 2])
def test_masks_of_another_frame_rate_are_refused(per_frame, video_folder, tmp_path):
    num_frames = len(PyAvReader(1)(str(video_folder / "class 0/video 8.mp4")))
    masks = np.full((per_frame * num_frames, 32, 40, 3), 255, np.uint8)
    write_video(tmp_path / "class 0/video 8.mp4", masks, fps=10)
    lists = {"train": "train.txt", "test": "test.txt"}
    data = VideoLists("mine", str(video_folder), lists, num_classes=2, masks=str(tmp_path))
    if per_frame == 1:
        data.prepare()
        return
    message = f"a mask of each of the {num_frames} frames of class 0/video 8.mp4, got {2 * num_frames}"
    with pytest.raises(ValueError, match=message):
        data.prepare()
