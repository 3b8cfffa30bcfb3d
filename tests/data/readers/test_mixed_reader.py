import torch
from torchvision.io import write_jpeg

from tbe.data.readers import DecordReader, FrameFolderReader
from tbe.data.readers.mixed_reader import MixedReader


def test_folders_and_files_have_their_own_readers(video_folder, tmp_path):
    for number in (1, 2):
        write_jpeg(torch.full((3, 16, 16), 100 * number, dtype=torch.uint8), str(tmp_path / f"frame{number:06d}.jpg"))
    reader = MixedReader(DecordReader("cpu"), FrameFolderReader("frame%06d.jpg"))
    assert reader(str(tmp_path)).frames([1]).float().mean() == 200
    file = str(video_folder / "class 0" / "video 0.mp4")
    assert len(reader(file)) == 12
    assert reader.worker_context(file) is None
    assert reader.worker_context(str(tmp_path)) is None
