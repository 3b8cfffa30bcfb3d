import json

import numpy as np
import pytest
import torch
from torchvision.io import write_png

import tbe.prepare.__main__ as prepare
from tbe.data.readers import DecordReader
from tbe.data.sources.records import read_list
from tbe.data.video_writer import write_video
from tbe.prepare.datasets.actor_hmdb51.cropping import Cropping

SPLITS = {
    f"{name}_test_split{split}.txt": f"{name}_a.avi 1\n{name}_b.avi 2\n"
    for name in ("run", "walk")
    for split in (1, 2, 3)
}
NUM_FRAMES = 10


def actor(number):
    """Returns left, top, right, bottom of the actor, which walks to the right and down."""
    return 20 + 4 * number, 30 + 2 * number, 36 + 4 * number, 62 + 2 * number


def filmed():
    """Renders a white actor in front of a dark wall with a bright window at the top right, uint8 (T, H, W, 3)."""
    frames = np.full((NUM_FRAMES, 120, 160, 3), 40, np.uint8)
    frames[:, :20, 120:] = 220
    for number, frame in enumerate(frames):
        left, top, right, bottom = actor(number)
        frame[top:bottom, left:right] = 255
    return frames


@pytest.fixture(scope="module")
def hmdb51(tmp_path_factory):
    """Four videos, with boxes as csv and json and with masks."""
    folder = tmp_path_factory.mktemp("hmdb51")
    for name in ("run/run_a", "run/run_b", "walk/walk_a", "walk/walk_b"):
        write_video(folder / "videos" / f"{name}.avi", filmed(), 30, codec="mpeg4", options={"qscale": "2"})
        (folder / "boxes" / name).parent.mkdir(parents=True, exist_ok=True)
        lines = [",".join(map(str, (number, *actor(number)))) for number in range(NUM_FRAMES)]
        if name.endswith("a"):
            (folder / "boxes" / f"{name}.csv").write_text("frame,x1,y1,x2,y2\n" + "\n".join(lines))
        else:
            boxes = {str(number): [actor(number)] for number in range(NUM_FRAMES)}
            (folder / "boxes" / f"{name}.json").write_text(json.dumps(boxes))
        masks = folder / "masks" / name
        masks.mkdir(parents=True)
        for number in range(NUM_FRAMES):
            mask = torch.zeros(1, 120, 160, dtype=torch.uint8)
            left, top, right, bottom = actor(number)
            mask[:, top:bottom, left:right] = 255
            write_png(mask, str(masks / f"mask_{number + 1}.png"))
    return folder


@pytest.fixture
def made(hmdb51, annotations, tmp_path):
    """made("boxes") runs the command and returns its output folder."""

    def run(kind, *options, folder=hmdb51):
        given = ["--root", folder / "videos", "--annotations", annotations(SPLITS), f"--{kind}", folder / kind]
        prepare.main(["actor_hmdb51", *map(str, [*given, "--out", tmp_path / "out", "--workers", 2, *options])])
        return tmp_path / "out"

    return run


def frames_of(out, split="train_1"):
    records = read_list(out / f"{split}.txt", out)
    return DecordReader("cpu")(records.path(0)).frames(range(NUM_FRAMES)).float()


def test_union_crops_to_the_area_that_the_actor_crosses(made):
    out = made("boxes", "--margin", 0)
    assert (out / "train_1.txt").read_text() == "run/run_a.mp4 0 10\nwalk/walk_a.mp4 1 10\n"
    assert (out / "test_3.txt").read_text() == "run/run_b.mp4 0 10\nwalk/walk_b.mp4 1 10\n"
    assert (out / "classes.txt").read_text() == "run\nwalk\n"
    expected = torch.from_numpy(filmed()).permute(0, 3, 1, 2)[..., 30:80, 20:72].float()
    for split in ("train_1", "test_1"):  # of csv and of json
        frames = frames_of(out, split)
        assert frames.shape == expected.shape
        assert (frames - expected).abs().mean() < 5


def test_follow_keeps_the_actor_in_the_middle(made):
    frames = frames_of(made("boxes", "--crop", "follow", "--margin", 0.5, "--smooth", 1))
    assert frames.shape == (NUM_FRAMES, 3, 64, 32)
    actor_only = (frames.mean(dim=1) > 200).float()
    centers = [(place.nonzero().float().mean(dim=0)) for place in actor_only]
    assert torch.stack(centers).sub(torch.tensor([31.5, 15.5])).abs().max() < 2


def test_masks_gray_out_the_background(made):
    frames = frames_of(made("masks", "--gray", 100))
    assert frames.shape == (NUM_FRAMES, 3, 120, 160)
    assert (frames[:, :, :20, 120:] - 100).abs().max() < 6  # the window is gone
    left, top, right, bottom = actor(5)
    assert frames[5, :, top + 2 : bottom - 2, left + 2 : right - 2].min() > 240


def test_a_margin_widens_a_box_up_to_the_border():
    boxes = {0: np.array([0.0, 10.0, 40.0, 60.0])}
    window = Cropping(None, None, None, "union", 0.1, 1, 18).window
    assert window(boxes, 0, 120, 160) == (5, 0, 60, 48)
    assert Cropping(None, None, None, "union", 9.0, 1, 18).window(boxes, 0, 121, 160) == (0, 0, 120, 160)
    tiny = {0: np.array([100.0, 100.0, 101.0, 101.0])}
    assert window(tiny, 0, 120, 160) == (84, 84, 32, 32)
    assert window(tiny, 0, 20, 30) == (0, 0, 20, 30)


def test_the_position_of_a_crop_is_smoothed():
    jumping = {number: np.array([20.0 * (number % 2), 0, 20.0 * (number % 2) + 40, 40]) for number in range(40)}
    crop = Cropping(None, None, None, "follow", 0.0, 2, 18)
    assert {crop.window(jumping, number, 120, 160)[1] for number in range(5, 35)} == {10}


def test_failures_are_named_and_the_rest_is_made(made, hmdb51, tmp_path, capsys):
    folder = tmp_path / "given"
    for kind in ("boxes/run", "boxes/walk", "masks/run/run_a", "masks/walk/walk_b"):
        (folder / kind).mkdir(parents=True)
    (folder / "videos").symlink_to(hmdb51 / "videos", target_is_directory=True)
    (folder / "boxes" / "run" / "run_a.csv").write_text("0,20,30,40,60\n10,1,2,3,4\n")
    (folder / "boxes" / "walk" / "walk_b.csv").write_text("0,20,30,60,80\n")
    with pytest.raises(SystemExit, match="3 of 4 videos failed"):
        made("boxes", folder=folder)
    assert (tmp_path / "out" / "test_1.txt").read_text() == "walk/walk_b.mp4 1 10\n"
    assert not (tmp_path / "out" / "run").exists() or not list((tmp_path / "out" / "run").iterdir())
    said = capsys.readouterr().out
    assert "run/run_a.avi: failed: run/run_a.avi: expected boxes of frames 0 to 9, got one of frame 10" in said
    assert "walk/walk_a.avi: failed:" in said


def test_masks_that_do_not_fit_are_named(made, hmdb51, tmp_path, capsys):
    folder = tmp_path / "given"
    (folder / "masks").mkdir(parents=True)
    (folder / "videos").symlink_to(hmdb51 / "videos", target_is_directory=True)
    for name, number, size in (
        ("run/run_a", 10, (60, 80)),
        ("run/run_b", 9, (120, 160)),
        ("walk/walk_a", 11, (120, 160)),
    ):
        (folder / "masks" / name).mkdir(parents=True)
        for index in range(number):
            write_png(torch.full((1, *size), 255, dtype=torch.uint8), str(folder / "masks" / name / f"{index}.png"))
    with pytest.raises(SystemExit, match="4 of 4 videos failed"):
        made("masks", folder=folder)
    said = capsys.readouterr().out
    assert "expected 120 x 160 pixels, as the video has, got (60, 80)" in said
    assert "run/run_b.avi: expected 10 masks, one per frame, got 9" in said
    assert "walk/walk_a.avi: expected 10 masks, one per frame, got 11" in said
    assert "walk_b: expected masks, <number>.png, found none" in said
    assert not list((tmp_path / "out").rglob("*.mp4"))


def test_impossible_options_are_refused(made, tmp_path):
    with pytest.raises(SystemExit, match="expected margin >= 0, smooth >= 1, gray 0 to 255 and crf 0 to 51, got -1.0"):
        made("boxes", "--margin", -1)
    with pytest.raises(SystemExit, match="expected the folder of the boxes, got no such folder"):
        made("boxes", "--boxes", tmp_path / "gone")
    with pytest.raises(SystemExit):  # argparse: one of them
        made("boxes", "--masks", tmp_path)
