import csv
import hashlib
import resource

import numpy as np
import pytest
import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2

import tbe.prepare.__main__ as prepare
from tbe.data.sources.actor_masks import ActorMasks
from tbe.data.video_writer import write_video
from tbe.errors import UserError
from tbe.evaluation.perturbations import moving_foreground
from tbe.prepare.common import work
from tbe.prepare.common.decoding import opened_video
from tbe.prepare.tools.masks import people
from tbe.prepare.tools.masks.finding import Video
from tbe.prepare.tools.masks.matte import find_before_wall
from tbe.prepare.tools.masks.motion import find_motion
from tbe.prepare.tools.masks.wall import fitted_wall
from tests.conftest import moving_square
from tests.prepare.composites import in_this_process

HEIGHT, WIDTH, NUM_FRAMES = 72, 96, 10


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setattr(work, "call_in_processes", in_this_process)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)  # of a process that is not of its own here


def wall(rng):
    """A smooth wall of any color and light, float (H, W, 3)."""
    row, column = np.meshgrid(np.linspace(-1, 1, HEIGHT), np.linspace(-1, 1, WIDTH), indexing="ij")
    terms = np.stack([row, column, row * column, row**2, column**2], axis=-1)
    light = 1 + terms @ rng.uniform(-0.07, 0.07, 5)
    return rng.uniform(100, 190, 3) * light[..., None]


def filmed(seed):
    """Somebody who is cut off below sways before a wall: noisy pictures uint8 (T, H, W, 3), and the true alpha."""
    rng = np.random.default_rng(seed)
    behind = wall(rng)
    color = np.clip(behind.mean(axis=(0, 1)) + rng.choice((-1, 1)) * rng.uniform(35, 80), 0, 255)
    color = np.clip(color + rng.uniform(-25, 25, 3), 0, 255)
    row, column = np.meshgrid(np.arange(HEIGHT) + 0.5, np.arange(WIDTH) + 0.5, indexing="ij")
    center, height, width = rng.uniform(0.35, 0.65) * WIDTH, rng.uniform(0.4, 0.7) * HEIGHT, rng.uniform(10, 20)
    sway, phase = rng.uniform(0, 8), rng.uniform(0, 6)
    alphas, pictures = [], []
    for number in range(NUM_FRAMES):
        middle = center + sway * np.sin(number / 2 + phase)
        body = 1 - np.hypot((column - middle) / width, (HEIGHT - row) / height)
        alpha = np.clip(0.5 + body * width / 1.5, 0, 1)
        exposure = 1 + rng.uniform(-0.01, 0.01)
        picture = exposure * (behind + alpha[..., None] * (color - behind)) + rng.normal(0, 1.5, behind.shape)
        pictures.append(np.clip(picture, 0, 255).round().astype(np.uint8))
        alphas.append(alpha)
    return np.stack(pictures), np.stack(alphas)


def video_of(pictures):
    return Video(lambda: iter(pictures), lambda most: list(pictures[:most]))


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("seed", range(12))
def test_somebody_before_any_smooth_wall_is_found_with_soft_edges(seed):
    pictures, alphas = filmed(seed)
    found = find_before_wall(video_of(pictures))
    mattes = np.stack(list(found.mattes))
    assert found.doubt == ""
    assert overlap(mattes > 0.5, alphas > 0.5) > 0.9
    soft = (alphas > 0.1) & (alphas < 0.9)
    assert np.abs(mattes - alphas)[soft].mean() < np.abs((mattes > 0.5) - alphas)[soft].mean()


def test_clothes_in_the_color_of_the_wall_are_not_taken_for_it():
    pictures, alphas = filmed(3)
    shirt = pictures[0][:5, :5].mean(axis=(0, 1)) + 9
    center = int(np.average(np.arange(WIDTH), weights=alphas[0].sum(axis=0)))
    pictures[:, HEIGHT - 8 :, center - 4 : center + 4] = shirt.astype(np.uint8)
    assert not fitted_wall(list(pictures)).seen[HEIGHT - 6, center]
    assert np.stack(list(find_before_wall(video_of(pictures)).mattes))[:, HEIGHT - 6, center].min() > 0.5


def test_motion_is_what_the_robustness_task_takes_for_the_foreground():
    pictures = moving_square(NUM_FRAMES, HEIGHT, WIDTH)
    clip = torch.from_numpy(pictures).permute(3, 0, 1, 2)[None].float() / 255
    found = np.stack(list(find_motion(video_of(pictures)).mattes))
    assert np.array_equal(found > 0, moving_foreground(clip)[0, 0].numpy())


class Bright(torch.nn.Module):
    """A detector that takes light for a person, the left half for a dog and the right one for an unsure person."""

    def forward(self, pictures):
        found = []
        for picture in pictures:
            columns = torch.arange(picture.shape[2]).expand(picture.shape[1:]) < picture.shape[2] // 2
            masks = torch.stack([picture.mean(dim=0), columns.float(), 1 - columns.float()])[:, None]
            found.append({"labels": torch.tensor([1, 18, 1]), "scores": torch.tensor([0.9, 0.9, 0.3]), "masks": masks})
        return found


def test_a_detectors_sure_people_are_the_matte_of_each_frame(videos, tmp_path, monkeypatch):
    (tmp_path / "weights.pth").touch()
    monkeypatch.setattr(people, "detector", lambda weights, device: Bright())
    run(videos, tmp_path / "out", "--weights", tmp_path / "weights.pth", "--device", "cpu", by="torchvision")
    matte = levels_of(tmp_path / "out/people/0.mp4")
    assert np.abs(matte - filmed(0)[0].mean(axis=-1)).mean() < 4
    row = report_of(tmp_path / "out")["people/0.mp4"]
    assert row["settings"].partition(" of ")[0] == "by=torchvision short_side=256 weights=weights.pth"


def test_nobody_is_where_no_person_is_sure():
    video = video_of(filmed(0)[0][:5])  # more than are detected at once
    unsure = {"labels": torch.tensor([1]), "scores": torch.tensor([0.4]), "masks": torch.ones(1, 1, HEIGHT, WIDTH)}
    mattes = list(people._mattes(video, lambda pictures: [unsure] * len(pictures), "cpu"))
    assert len(mattes) == 5
    assert not np.any(mattes)


def test_missing_weights_are_one_line_that_says_where_to_put_them(videos, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    where = tmp_path / "torch/hub/checkpoints/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth"
    with pytest.raises(SystemExit, match=f"expected the weights of Mask R-CNN at {where}, got no such file: downl"):
        run(videos, tmp_path / "out", by="torchvision")
    with pytest.raises(SystemExit, match="--weights: expected a file of torchvision's Mask R-CNN, got no such file"):
        run(videos, tmp_path / "out", "--weights", tmp_path / "nowhere.pth", by="torchvision")
    with pytest.raises(SystemExit, match="--weights: expected only with --by torchvision or sam2, got --by matte"):
        run(videos, tmp_path / "out", "--weights", tmp_path / "nowhere.pth")
    where.parent.mkdir(parents=True)
    where.touch()
    assert people.weights_file(None) == where


def test_weights_of_both_versions_are_loaded_and_others_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: module)
    for build in (maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2):
        with torch.device("meta"):
            state = build(weights=None, weights_backbone=None).state_dict()
        if build is maskrcnn_resnet50_fpn:  # its published weights have frozen statistics
            state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
        monkeypatch.setattr(people, "read", lambda file, state=state: state)
        with torch.device("meta"):
            loaded = people.detector.__wrapped__(tmp_path, "cpu")
        assert loaded.state_dict().keys() == state.keys()
        assert not loaded.training
    monkeypatch.setattr(people, "read", lambda file: {"fc.weight": torch.zeros(2)})
    with torch.device("meta"), pytest.raises(UserError, match="expected weights of maskrcnn_resnet50_fpn or _v2"):
        people.detector.__wrapped__(tmp_path, "cpu")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two people, an empty wall, a place full of texture before which the camera moves, and a file that is no video."""
    root = tmp_path_factory.mktemp("videos")
    for number in range(2):
        pictures, alphas = filmed(number)
        write_video(root / "people" / f"{number}.mp4", pictures, fps=12, options={"crf": "8"})
        levels = (255 * alphas).round().astype(np.uint8)
        write_video(root / "truth" / f"people/{number}.mp4", levels[..., None].repeat(3, axis=-1), fps=12)
    rng = np.random.default_rng(0)
    empty = np.repeat(wall(rng)[None].astype(np.uint8), NUM_FRAMES, axis=0)
    write_video(root / "odd" / "empty.mp4", empty, fps=12)
    checks = np.kron(rng.integers(0, 255, (40, 40, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    moving = np.stack([checks[3 * n : 3 * n + HEIGHT, 5 * n : 5 * n + WIDTH] for n in range(NUM_FRAMES)])
    write_video(root / "odd" / "street.mp4", moving, fps=12)
    (root / "odd" / "text.mp4").write_text("no video\n" * 100)
    return root


def run(videos, out, *options, by="matte", of=("people/0.mp4", "people/1.mp4")):
    (out.parent / "list.txt").write_text("".join(f"{path} 0\n" for path in of))
    given = ["--root", videos, "--list", out.parent / "list.txt", "--out", out, "--by", by, "--workers", 1, *options]
    prepare.main(["masks", *map(str, given)])


def report_of(out):
    with (out / "masks_report.csv").open(newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def digests(out):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(out.rglob("*.mp4"))}


def levels_of(file):
    with opened_video(file) as source:
        return np.stack([frame.to_ndarray(format="gray") for frame in source.frames])


def test_masks_are_read_by_composite_and_by_the_source_and_compared_with_true_ones(videos, tmp_path, capsys):
    out = tmp_path / "out"
    run(videos, out, "--against", videos / "truth")
    alphas = filmed(0)[1]
    as_read = ActorMasks(str(out), above=127)("people/0.mp4", str(videos / "people/0.mp4"), list(range(NUM_FRAMES)))
    assert overlap(as_read, alphas > 0.5) > 0.9
    matte = levels_of(out / "people/0.mp4")  # as composite reads it
    assert np.mean((matte > 127) != as_read) < 0.003
    assert matte[alphas == 0].mean() < 8
    assert matte[alphas == 1].mean() > 247
    row = report_of(out)["people/0.mp4"]
    assert (row["status"], row["frames"], row["height"], row["width"], row["without"]) == ("ok", "10", "72", "96", "0")
    assert float(row["foreground"]) == pytest.approx((alphas > 0.5).mean(), abs=0.01)
    true = levels_of(videos / "truth/people/0.mp4") > 127
    with (out / "masks_iou.csv").open(newline="") as file:
        found = {row["path"]: float(row["iou"]) for row in csv.DictReader(file)}
    assert found["people/0.mp4"] == pytest.approx(overlap(matte > 127, true), abs=1e-4)
    printed = capsys.readouterr().out
    assert f"IoU {50 * sum(found.values()):.1f} (mean of 2 videos" in printed
    assert "++data.mask_above=127" in printed
    assert (out / "masks_sheet.png").stat().st_size > 1000


def test_a_second_run_makes_what_is_missing_to_the_same_bytes(videos, tmp_path):
    out = tmp_path / "out"
    run(videos, out, by="motion")
    before = digests(out)
    kept = (out / "people/1.mp4").stat().st_mtime_ns
    (out / "people/0.mp4").unlink()
    (out / f"people/0.mp4.{'a1' * 16}.part").touch()  # of a process that was killed
    run(videos, out, by="motion")
    assert digests(out) == before
    assert (out / "people/1.mp4").stat().st_mtime_ns == kept
    assert not list(out.rglob("*.part"))
    with pytest.raises(SystemExit, match="expected a report of a run with by=matte short_side=256, got one with by=mo"):
        run(videos, out)


def test_what_fails_or_looks_wrong_is_named_and_the_rest_is_made(videos, tmp_path, capsys):
    out = tmp_path / "out"
    of = ("people/0.mp4", "odd/empty.mp4", "odd/street.mp4", "odd/text.mp4")
    with pytest.raises(SystemExit, match=r"3 of 4 videos failed: see .*masks_report.csv"):
        run(videos, out, of=of)
    rows = report_of(out)
    assert [path for path in of if rows[path]["status"] == "failed"] == list(of[1:])
    assert "found no foreground in any of its 10 frames" in rows["odd/empty.mp4"]["reason"]
    assert not (out / "odd/empty.mp4").exists()
    assert rows["people/0.mp4"]["doubt"] == ""
    assert "no foreground in any of its 10 frames (no plain wall: the median frame" in rows["odd/street.mp4"]["reason"]
    printed = " ".join(capsys.readouterr().out.split())
    assert "odd/empty.mp4: failed: expected somebody" in printed


def test_motion_of_the_camera_is_doubted(videos, tmp_path, capsys):
    run(videos, tmp_path / "out", by="motion", of=("odd/street.mp4", "people/0.mp4"))
    rows = report_of(tmp_path / "out")
    assert "of the picture is foreground: a camera that moves?" in rows["odd/street.mp4"]["doubt"]
    assert rows["people/0.mp4"]["doubt"] == ""
    printed = " ".join(capsys.readouterr().out.split())
    assert "look at 1 of 2 videos (column `doubt`), such as odd/street.mp4: " in printed


def test_frames_without_anybody_are_counted(videos, tmp_path, capsys):
    pictures = filmed(0)[0]
    pictures[:2] = wall(np.random.default_rng(0)).round().astype(np.uint8)
    write_video(tmp_path / "late.mp4", pictures, fps=12, options={"crf": "8"})
    run(tmp_path, tmp_path / "out", of=("late.mp4",))
    assert report_of(tmp_path / "out")["late.mp4"]["without"] == "2"
    printed = " ".join(capsys.readouterr().out.split())
    assert "no foreground in 2 frames of 1 videos (column `without`), such as late.mp4: 2 of 10" in printed


def test_a_full_disk_loses_nothing(videos, tmp_path):
    out = tmp_path / "out"
    run(videos, out, of=("people/1.mp4",))
    before = digests(out)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # larger files fail as on a full disk
    try:
        with pytest.raises(SystemExit):
            run(videos, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert digests(out) == before
    assert not list(out.rglob("*.part"))
    run(videos, out, "--retry")
    assert digests(out).keys() == {"0.mp4", "1.mp4"}
    assert {row["status"] for row in report_of(out).values()} == {"ok"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--short-side", 8), "--short-side: expected 16 pixels or more, got 8"),
        (("--against", "nowhere"), "--against: expected the folder of the true masks, got no such folder"),
        (("--workers", 0), "expected workers >= 1"),
    ],
)
def test_impossible_options_are_refused(videos, tmp_path, options, message):
    with pytest.raises(SystemExit, match=message):
        run(videos, tmp_path / "out", *options)
