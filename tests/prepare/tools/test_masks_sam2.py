"""People are followed by SAM 2, here a tiny one with random weights, from boxes around them in one frame."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tbe.data.video_writer import write_video
from tbe.prepare.common import work
from tbe.prepare.common.decoding import opened_video
from tbe.prepare.tools.masks import prompts, sam2
from tbe.prepare.tools.masks.finding import Video
from tests.conftest import moving_square
from tests.prepare.composites import in_this_process
from tests.prepare.tools.test_masks import report_of, run

transformers = pytest.importorskip("transformers", reason="needs transformers: pip install -e '.[sam2]'")

SIDE, FRAMES = 64, 7
HIERA = {"hidden_size": 8, "image_size": [SIDE, SIDE], "embed_dim_per_stage": [8, 16, 32, 64]}
HIERA |= {"num_attention_heads_per_stage": [1, 1, 2, 2], "blocks_per_stage": [1, 2, 1, 1]}
HIERA |= {"global_attention_blocks": [2], "window_positional_embedding_background_size": [4, 4]}
VISION = {"backbone_config": HIERA | {"model_type": "sam2_hiera_det_model"}, "backbone_channel_list": [64, 32, 16, 8]}
VISION |= {"backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": 128}
CONFIG = {"vision_config": VISION | {"model_type": "sam2_vision_model"}, "image_size": SIDE}
CONFIG |= {"prompt_encoder_config": {"hidden_size": 128, "image_size": SIDE}}
CONFIG |= {
    "mask_decoder_config": {"hidden_size": 128, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
}
CONFIG |= {"memory_attention_hidden_size": 128, "memory_attention_num_layers": 1, "memory_encoder_hidden_size": 128}
CONFIG |= {"memory_attention_feed_forward_hidden_size": 16, "memory_attention_rope_feat_sizes": [4, 4]}
CONFIG |= {"mask_downsampler_embed_dim": 128, "memory_fuser_embed_dim": 128}
CONFIG |= {"memory_fuser_intermediate_dim": 16, "memory_fuser_num_layers": 1, "max_object_pointers_in_encoder": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny SAM 2 with random weights, as the library saves it."""
    torch.manual_seed(0)
    made = tmp_path_factory.mktemp("sam2")
    transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**CONFIG)).save_pretrained(made)
    size = {"height": SIDE, "width": SIDE}
    image = transformers.Sam2ImageProcessor(size=size, mask_size={"height": 16, "width": 16})
    transformers.Sam2VideoProcessor(image, transformers.Sam2VideoVideoProcessor(size=size)).save_pretrained(made)
    return made


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setattr(work, "call_in_processes", in_this_process)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)  # of a process that is not of its own here


def video_of(pictures):
    return Video(lambda: iter(pictures), lambda most: list(pictures[:most]))


def test_mattes_are_what_the_library_itself_gives_for_the_whole_video(folder):
    pictures, boxes = moving_square(FRAMES, 40, 56), np.array([[3.0, 8.0, 15.0, 20.0], [20.0, 4.0, 40.0, 30.0]])
    chosen = sam2.tracker(folder, "cpu")
    found = sam2.follower(chosen, lambda video: prompts.Prompt(3, boxes))(video_of(pictures))
    mattes = list(found.mattes)
    session = chosen.processor.init_video_session(video=list(pictures))
    chosen.processor.add_inputs_to_inference_session(session, 3, [1, 2], input_boxes=[boxes.tolist()])
    with torch.inference_mode():
        later = {seen.frame_idx: seen for seen in chosen.model.propagate_in_video_iterator(session, start_frame_idx=3)}
    assert len(mattes) == FRAMES
    assert np.std(mattes) > 0.01
    for number in range(3, FRAMES):
        logits = chosen.processor.post_process_masks([later[number].pred_masks], [[40, 56]], binarize=False)[0]
        assert np.abs(mattes[number] - logits.amax(dim=(0, 1)).sigmoid().numpy()).max() < 1e-3
    backwards = sam2.follower(chosen, lambda video: prompts.Prompt(FRAMES - 4, boxes))(video_of(pictures[::-1]))
    assert np.abs(np.stack(list(backwards.mattes))[::-1] - np.stack(mattes)).max() < 1e-3  # it goes both ways alike


def test_boxes_are_around_what_moves_or_around_sure_people_in_the_frame_that_shows_most():
    pictures = moving_square(40, 48, 64)
    frame, boxes = prompts.by_motion(video_of(pictures))
    assert len(boxes) == 1
    assert np.abs(boxes[0] - (frame, 8, frame + 12, 20)).max() <= 4  # where it is drawn; motion is a little too wide

    def detect(scaled):
        width = 64 * scaled[0][:, 14].mean()  # grows or shrinks with the frame's number
        found = torch.tensor([[2.0, 3, 2 + width, 30], [0, 0, 64, 48], [0, 0, 1, 1], [1, 1, 60, 40]])
        labels, scores = torch.tensor([1, 18, 1, 1]), torch.tensor([0.9, 0.9, 0.9, 0.3])
        return [{"boxes": found, "labels": labels, "scores": scores}]

    frame, boxes = prompts.by_detector(detect, "cpu")(video_of(pictures))
    assert boxes.shape == (1, 4)  # no dog, nobody tiny, nobody unsure
    means = [picture[14].mean() / 255 for picture in pictures]
    assert boxes[0, 2] == pytest.approx(2 + 64 * means[frame], abs=1e-3)
    still = np.repeat(pictures[:1], 20, axis=0)
    assert prompts.by_motion(video_of(still)) is None


def test_the_command_writes_masks_and_makes_what_is_missing(folder, tmp_path):
    for number in range(2):
        write_video(tmp_path / "videos" / f"{number}.mp4", moving_square(FRAMES, 40, 56, seed=number), fps=12)
    of, out = ("0.mp4", "1.mp4"), tmp_path / "out"
    run(tmp_path / "videos", out, "--weights", folder, "--device", "cpu", by="sam2", of=of[:1])
    kept = (out / "0.mp4").read_bytes()
    run(tmp_path / "videos", out, "--weights", folder, "--device", "cpu", by="sam2", of=of)
    assert (out / "0.mp4").read_bytes() == kept
    rows = report_of(out)
    settings = f"by=sam2 short_side=256 weights={folder.name} prompt=motion of root=videos"
    assert {row["settings"] for row in rows.values()} == {settings}
    assert [row["frames"] for row in rows.values()] == [str(FRAMES)] * 2
    with opened_video(out / "1.mp4") as source:
        assert sum(1 for _ in source.frames) == FRAMES


def test_weights_that_are_not_there_or_not_whole_are_one_line(folder, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(SystemExit, match=r"facebook/sam2.1-hiera-tiny: .*no route to host.*--weights <folder>"):
        run(tmp_path, tmp_path / "out", by="sam2")
    with pytest.raises(SystemExit, match="expected a folder with config.json and the weights of SAM 2"):
        run(tmp_path, tmp_path / "out", "--weights", tmp_path, by="sam2")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(SystemExit, match="expected the weights of Mask R-CNN"):
        run(tmp_path, tmp_path / "out", "--weights", folder, "--prompt", "torchvision", by="sam2")
    with pytest.raises(SystemExit, match="--detector: expected only with --prompt torchvision, got --prompt motion"):
        run(tmp_path, tmp_path / "out", "--weights", folder, "--detector", folder, by="sam2")
    with pytest.raises(SystemExit, match="--prompt and --detector: expected only with --by sam2, got --by matte"):
        run(tmp_path, tmp_path / "out", "--prompt", "motion")
    shutil.copytree(folder, tmp_path / "cut")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("memory_temporal_positional_encoding")
    save_file(tensors, tmp_path / "cut" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="got none of 1, such as memory_temporal_positional_encoding"):
        sam2.tracker.__wrapped__(tmp_path / "cut", "cpu")
