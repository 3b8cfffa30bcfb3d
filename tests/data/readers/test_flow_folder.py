import json

import numpy as np
import pytest
import torch
from torchvision.io import write_png

from tbe.data.readers import DecodeError, FlowFolderReader
from tbe.data.sources.records import write_list


def write_flow(folder, num_frames=6, x="flow_x_{:05d}.jpg", y="flow_y_{:05d}.jpg", size=(32, 40), right=200, down=100):
    """Plain flow whose values tell the number of a frame; png, whatever the names say, so that they stay exact."""
    for number in range(1, num_frames + 1):
        for template, value in ((x, right + number), (y, down + number)):
            file = folder / template.format(number)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_png(torch.full((1, *size), value, dtype=torch.uint8), str(file))


def test_x_and_y_become_two_channels(tmp_path):
    write_flow(tmp_path)
    (tmp_path / "img_00001.jpg").touch()
    reader = FlowFolderReader()(str(tmp_path))
    assert len(reader) == 6
    frames = reader.frames([5, 0, 5])
    assert frames.shape == (3, 2, 32, 40)
    assert frames.dtype == torch.uint8
    assert frames[..., 0, 0].tolist() == [[206, 106], [201, 101], [206, 106]]


def test_templates_may_name_sub_folders_and_numbers_may_begin_anywhere(tmp_path):
    write_flow(tmp_path / "video", num_frames=12, x="u/{}.png", y="v/{}.png")
    reader = FlowFolderReader("u/%d.png", "v/%d.png")(str(tmp_path / "video"))
    assert reader.frames(range(12))[:, 0, 0, 0].tolist() == list(range(201, 213))


def test_folders_of_another_form_are_refused(tmp_path):
    write_flow(tmp_path / "uneven")
    (tmp_path / "uneven" / "flow_y_00003.jpg").unlink()
    with pytest.raises(DecodeError, match=r"uneven: expected as many 'flow_x_%05d.jpg' as .* got 6 and 5"):
        FlowFolderReader()(str(tmp_path / "uneven"))
    write_flow(tmp_path / "sizes")
    write_flow(tmp_path / "sizes", num_frames=1, x="other_{}.png", size=(16, 16))
    with pytest.raises(DecodeError, match=r"flow_y_00001.jpg: expected a picture as large as .*, got \(16, 16\)"):
        FlowFolderReader()(str(tmp_path / "sizes")).frames([0])
    (tmp_path / "sizes" / "flow_x_00002.jpg").write_bytes(b"no picture")
    with pytest.raises(DecodeError, match=r"could not decode .*flow_x_00002.jpg"):
        FlowFolderReader()(str(tmp_path / "sizes")).frames([1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DecodeError, match="expected frames named like 'flow_x_%05d.jpg', found none"):
        FlowFolderReader()(str(tmp_path / "empty"))
    with pytest.raises(DecodeError, match="expected a folder of frames, got nothing"):
        FlowFolderReader()(str(tmp_path / "gone"))


def test_impossible_templates_are_refused():
    with pytest.raises(ValueError, match="expected two templates, of x and of y, got 'a_%d.jpg' twice"):
        FlowFolderReader("a_%d.jpg", "a_%d.jpg")
    with pytest.raises(ValueError, match="one %d in it, got 'flow.jpg'"):
        FlowFolderReader("flow.jpg")


@pytest.fixture
def flow_data(tmp_path):
    """Eight videos of flow of two classes, as the options of a command."""
    rows = [(f"class {number % 2}/video {number}", number % 2) for number in range(8)]
    for number, (path, label) in enumerate(rows):
        write_flow(tmp_path / path, num_frames=10 + number, right=60 + 100 * label)
    write_list(tmp_path / "train.txt", rows[:6])
    write_list(tmp_path / "test.txt", rows[6:])
    data = [f"data.root={tmp_path}", "data=folder", "data.num_classes=2", "data.val_share=0", "reader=flow"]
    return [*data, "augment@eval_augment=flow_center", "datamodule.num_workers=0"]


FLOW = ["augment=flow", "backbone=tiny", "backbone.in_channels=2", "clip=8x2_32"]


def test_a_network_is_trained_and_searched_with_flow(train, evaluate, flow_data):
    options = [*flow_data, *FLOW, "batch_size=2", "trainer=debug", "trainer.limit_train_batches=1"]
    run = train("experiment=none", *options, "contrastive.queue_size=8", small=False)
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert {weight.shape[1] for name, weight in state.items() if "stem" in name and weight.dim() == 5} == {2}
    metrics = (evaluate("task=retrieval", "augment@eval_augment=flow_center", "clips=1") / "metrics.json").read_text()
    assert "retrieval/R@1" in metrics


def test_a_network_is_finetuned_with_flow(train, flow_data):
    options = [
        *flow_data,
        *FLOW,
        "batch_size=2",
        "trainer=debug",
        "trainer.limit_train_batches=1",
        "evaluation.clips=1",
    ]
    run = train("experiment=none", "stage=finetune", "evaluation.clips=1", *options, small=False)
    assert np.isfinite(float(json.loads((run / "metrics.json").read_text())["train/loss"]))


def test_augmentation_of_colors_is_refused_with_flow(train, flow_data):
    options = [*flow_data, *FLOW[1:], "batch_size=2", "trainer=debug", "contrastive.queue_size=8"]
    with pytest.raises(ValueError, match="For optical flow set augment=flow and augment@eval_augment=flow_center"):
        train("experiment=none", *options, small=False)
