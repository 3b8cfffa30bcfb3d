import csv

import numpy as np
import pytest

import tbe.prepare.__main__ as prepare
from tbe.data.sources.records import read_list
from tbe.data.video_writer import write_video
from tbe.prepare.datasets.hmdb51_sta.camera_motion import camera_motion


def texture(height, width, seed):
    """Returns blobs of a few pixels without a grid, uint8."""
    noise = np.random.default_rng(seed).standard_normal((height, width))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    smooth = np.fft.irfft2(np.fft.rfft2(noise) * np.exp(-((8 * frequency) ** 2)), s=noise.shape)
    return (128 + 45 * smooth / smooth.std()).clip(20, 235).astype(np.uint8)


SCENE = texture(480, 960, seed=0)
PERSON = texture(80, 40, seed=1)


def view(top, left):
    """Returns the view of a camera at this position of a scene, gray (120, 160)."""
    return SCENE[top : top + 120, left : left + 160].copy()


def panning(pixels, num_frames=8):
    return [view(100 + number * pixels[0], 400 + number * pixels[1]) for number in range(num_frames)]


def with_actor(frames):
    """Adds a person who crosses the picture at 9 pixels per frame."""
    for number, frame in enumerate(frames):
        frame[40:120, 9 * number : 9 * number + 40] = PERSON
    return frames


def with_borders(frames, pixels):
    """Adds the black borders of a stabiliser, which move against the stabilised camera."""
    for number, frame in enumerate(frames):
        frame[:, : 10 + number * pixels] = 0
        frame[: 5 + number * pixels] = 0
    return frames


@pytest.mark.parametrize("pixels", [(0, 0), (0, 2), (3, 4), (-6, 6), (0, 14), (9, -30)])
def test_a_pan_is_measured_in_shares_of_the_short_side(pixels):
    motion, pairs = camera_motion(panning(pixels))
    assert motion == pytest.approx(np.hypot(*pixels) / 120, rel=0.06, abs=1e-3)
    assert pairs == 7


def test_an_actor_does_not_count_as_the_camera():
    assert camera_motion(with_actor(panning((0, 0)))).motion < 1e-3
    assert camera_motion(with_actor(panning((0, 5)))).motion == pytest.approx(5 / 120, rel=0.1)


def test_the_borders_of_a_stabilized_video_do_not_count():
    assert camera_motion(with_borders(panning((0, 0)), 5)).motion < 1e-3


def test_noise_does_not_count_and_a_zoom_does():
    rng = np.random.default_rng(2)
    noisy = [(frame + rng.normal(0, 6, frame.shape)).clip(0, 255).astype(np.uint8) for frame in panning((0, 0))]
    assert camera_motion(noisy).motion < 3e-3
    grid = np.indices((120, 160)) - np.array([60, 80])[:, None, None]
    zoom = [
        SCENE[tuple((grid * 1.06**-number).round().astype(int) + np.array([240, 480])[:, None, None])]
        for number in range(6)
    ]
    assert camera_motion(zoom).motion > 0.01


def test_a_dark_scene_is_measured():
    frames = panning((0, 4))
    for frame in frames:
        frame[frame < 90] = 0
    assert camera_motion(frames).motion == pytest.approx(4 / 120, rel=0.1)


@pytest.mark.parametrize("frames", [[], panning((0, 0), 1), [np.full((120, 160), 80, np.uint8)] * 3])
def test_frames_without_measurable_motion_are_refused(frames):
    with pytest.raises(ValueError, match="two frames of 48 pixels with contrast and similar content, got none"):
        camera_motion(frames)


SPLITS = {
    f"{name}_test_split{split}.txt": f"{name}_still.avi 1\n{name}_panned.avi 1\n{name}_slow.avi 2\n"
    for name in ("run", "walk")
    for split in (1, 2, 3)
}


@pytest.fixture(scope="module")
def stabilized(tmp_path_factory):
    """Videos of two classes: a still one, one with a slow pan (0.008) and one with a fast pan (0.05)."""
    root = tmp_path_factory.mktemp("stabilised")
    for name in ("run", "walk"):
        for kind, pixels in (("still", 0), ("slow", 1), ("panned", 6)):
            frames = np.stack(with_actor(panning((0, pixels))))
            video = np.repeat(frames[..., None], 3, axis=3)
            write_video(root / name / f"{name}_{kind}.avi", video, 30, codec="mpeg4", options={"qscale": "2"})
    return root


def test_videos_with_a_moving_camera_are_left_out(stabilized, annotations, lists, rows, capsys):
    given = ["--root", stabilized, "--annotations", annotations(SPLITS), "--workers", 2]
    folder = lists("hmdb51_sta", *given)
    assert rows(folder / "train_1.txt") == [("run/run_still.avi", 0), ("walk/walk_still.avi", 1)]
    assert rows(folder / "test_3.txt") == [("run/run_slow.avi", 0), ("walk/walk_slow.avi", 1)]
    assert (folder / "classes.txt").read_text() == "run\nwalk\n"
    assert "4 of 6 videos have a motion of at most 0.01 (quantiles: 50% 0.00" in capsys.readouterr().out
    with open(folder / "motion.csv", newline="") as file:
        measured = {row["path"]: row for row in csv.DictReader(file)}
    values = [float(measured[f"run/run_{kind}.avi"]["motion"]) for kind in ("still", "slow", "panned")]
    assert values == pytest.approx([0, 1 / 120, 6 / 120], rel=0.15, abs=2e-3)
    assert measured["run/run_still.avi"]["pairs"] == "7"


def test_another_threshold_reuses_the_measurements(stabilized, annotations, lists, rows):
    given = ["--root", stabilized, "--annotations", annotations(SPLITS), "--workers", 2]
    folder = lists("hmdb51_sta", *given)
    content = (folder / "motion.csv").read_text()
    (folder / "motion.csv").write_text(content.replace("run/run_panned.avi,ok,0.0", "run/run_panned.avi,ok,0.7"))
    lists("hmdb51_sta", *given, "--max-motion", 0.1)
    assert len(rows(folder / "train_1.txt")) == 3
    assert ("run/run_panned.avi", 0) not in rows(folder / "train_1.txt")


def test_measurements_of_another_folder_are_not_reused(stabilized, annotations, lists, refused, tmp_path):
    given = ["--annotations", annotations(SPLITS), "--workers", 1]
    folder = lists("hmdb51_sta", "--root", stabilized, *given)
    (tmp_path / "others").mkdir()
    message = f"{folder}/motion.csv: expected videos of root=others, got 6 of the same names that were made of"
    refused(message, "hmdb51_sta", "--root", tmp_path / "others", *given)


def test_missing_videos_are_named_and_the_rest_is_listed(stabilized, annotations, lists, tmp_path, rows, capsys):
    files = {**SPLITS, "run_test_split1.txt": "run_still.avi 1\nrun_slow.avi 2\nrun_gone.avi 1"}
    with pytest.raises(SystemExit, match=r"1 of 7 videos failed: see .*motion.csv; --retry tries them again"):
        lists("hmdb51_sta", "--root", stabilized, "--annotations", annotations(files), "--workers", 2)
    assert "run/run_gone.avi: failed:" in capsys.readouterr().out
    assert rows(tmp_path / "lists" / "train_1.txt") == [("run/run_still.avi", 0), ("walk/walk_still.avi", 1)]


def test_impossible_options_are_refused(stabilized, annotations, refused, tmp_path):
    given = ["--annotations", annotations(SPLITS)]
    refused("gone: expected the folder of the stabilised videos", "hmdb51_sta", "--root", tmp_path / "gone", *given)
    refused(
        "--max-motion: expected 0 or more, got -1.0", "hmdb51_sta", "--root", stabilized, *given, "--max-motion", -1
    )


def test_static_cameras_have_no_motion(weizmann_root):
    """All of Weizmann was filmed with a fixed camera: no video is above a tenth of the default threshold."""
    from tbe.prepare.datasets.hmdb51_sta.command import Measuring

    videos = sorted(weizmann_root.glob("*/*.avi"))[::14]
    assert len(videos) == 5
    assert max(Measuring(weizmann_root)(str(video)).motion for video in videos) < 0.001


def test_all_official_splits_are_read(official, lists, tmp_path, monkeypatch):
    from tbe.prepare.datasets.hmdb51_sta import command

    measured = []

    def nothing_moves(title, paths, report, work, row_of, chosen):
        measured.extend(paths)
        report.rows.update({path: command.MeasuredRow(path, "ok", 0.0, 9) for path in measured})

    monkeypatch.setattr(command, "work_through", nothing_moves)
    folder = lists("hmdb51_sta", "--root", tmp_path, "--annotations", official("hmdb51"))
    assert len(measured) == len(set(measured)) == 6371  # some of the 6,766 are in no split
    for split in (1, 2, 3):
        sizes = [len(read_list(folder / f"{part}_{split}.txt", "")) for part in ("train", "test")]
        assert sizes == [3570, 1530]
    assert prepare.DATASETS["hmdb51_sta"].run is command.run
