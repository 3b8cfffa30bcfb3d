import csv
import json
from dataclasses import fields, replace
from pathlib import Path

import av
import decord
import numpy as np
import pytest
from omegaconf import OmegaConf

from tbe.data.biased_scenes.clip_parameters import ACTIONS, motion
from tbe.data.biased_scenes.rendering import MAX_ACTORS, actor_mask, background, render
from tbe.data.biased_scenes.source import BiasedScenes
from tests.forked import together

WRITTEN = ("train", "val", "iid", "swap", "balanced")


def tiny(root, **changes):
    parameters = {"num_train": 10, "num_val": 2, "num_test": 3, "num_frames": 8, "size": 32} | changes
    return BiasedScenes(root=str(root), **parameters)


def contents(data):
    return {str(file.relative_to(data.folder)): file.read_bytes() for file in data.folder.rglob("*") if file.is_file()}


def draw_all(data, split, number):
    return [data.draw(split, index) for index in range(number)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data = tiny(tmp_path_factory.mktemp("prepared"))
    data.prepare()
    return data


def test_the_same_parameters_write_the_same_files(prepared, tmp_path):
    again = tiny(tmp_path)
    again.prepare()
    assert contents(again) == contents(prepared)


def test_another_seed_makes_other_pictures_in_another_folder(prepared):
    other = replace(prepared, seed=1)
    assert other.folder != prepared.folder
    first, second = (render(data.draw("train", 0), 8, 32, data.seed).frames for data in (prepared, other))
    assert np.abs(first.astype(int) - second).mean() > 10


def test_the_folder_depends_on_exactly_the_parameters_that_affect_pictures(prepared):
    changes = {"num_actions": 7, "num_scenes": 7, "num_actors": 3, "bias": 0.5, "num_train": 11, "num_val": 3}
    changes |= {"num_test": 4, "num_frames": 9, "size": 64, "fps": 12, "camera_motion": 3, "scene_variety": 0.5}
    changes |= {"actor_size": 1.5, "quality": 20, "seed": 1}
    assert changes.keys() == {field.name for field in fields(prepared)} - {"root", "label"}
    folders = {replace(prepared, **{name: value}).folder for name, value in changes.items()}
    assert len(folders | {prepared.folder}) == len(changes) + 1
    assert replace(prepared, label="scene").folder == prepared.folder
    assert replace(prepared, fps=25.0).folder == prepared.folder


def test_adding_clips_leaves_the_first_ones_unchanged(prepared, tmp_path):
    more = tiny(tmp_path, num_train=12)
    more.prepare()
    assert more.clips("train")[:10] == prepared.clips("train")
    name = "train/00009.mp4"
    assert (more.folder / name).read_bytes() == (prepared.folder / name).read_bytes()


@pytest.mark.parametrize("split", ["train", "val", "iid"])
def test_with_bias_one_every_clip_has_its_actions_own_scene(tmp_path, split):
    assert all(clip.scene == clip.action for clip in draw_all(tiny(tmp_path, bias=1), split, 200))


def test_bias_is_the_share_of_own_scenes_beyond_chance(tmp_path):
    for split, bias in (("train", 0.6), ("iid", 0.6), ("train", 0), ("balanced", 0.6)):
        clips = draw_all(tiny(tmp_path, num_actions=4, num_scenes=4, bias=bias), split, 1200)
        own = np.mean([clip.scene == clip.action for clip in clips])
        expected = 0.25 if split == "balanced" else bias + (1 - bias) / 4
        assert own == pytest.approx(expected, abs=0.05)
        assert np.bincount([clip.action for clip in clips]).tolist() == [300] * 4


def test_swap_has_all_other_scenes_but_never_the_own_one(tmp_path):
    for num_actions, num_scenes in ((4, 4), (8, 3), (3, 8)):
        data = tiny(tmp_path, num_actions=num_actions, num_scenes=num_scenes)
        pairs = {(clip.action, clip.scene) for clip in draw_all(data, "swap", 1000)}
        owned = {action % num_scenes for action in range(num_actions)}
        assert pairs == {(a, s) for a in range(num_actions) for s in owned if s != a % num_scenes}


def test_bias_changes_the_scenes_and_nothing_else(tmp_path):
    for index in range(20):
        clips = [tiny(tmp_path, bias=bias).draw("train", index)._replace(scene=0) for bias in (0, 1)]
        assert clips[0] == clips[1]


def test_no_single_frame_reveals_the_action(tmp_path):
    data = tiny(tmp_path, num_train=2400)
    clips = draw_all(data, "train", 2400)
    for time in (0, 5, 11):
        states = np.array([[value[time] for value in motion(clip, 12)] for clip in clips])
        states[:, 2] = np.cos(states[:, 2])  # the angle only counts up to whole turns
        # Means and spreads over 300 clips of each action: within 5 standard errors of all the actions together.
        by_action = states.reshape(300, 8, 5)
        error = states.std(axis=0) / np.sqrt(300)
        assert (np.abs(by_action.mean(axis=0) - states.mean(axis=0)) < 5 * error).all()
        assert (np.abs(by_action.std(axis=0) - states.std(axis=0)) < 5 * error).all()


def test_every_action_moves_visibly_and_in_its_own_way(tmp_path):
    moving = {}
    for clip in draw_all(tiny(tmp_path), "train", 8):
        moving[list(ACTIONS)[clip.action]] = [bool(np.ptp(value) > 0.05) for value in motion(clip, 16)]
    assert moving["sideways"] == [True, False, False, False, False]
    assert moving["up_down"] == [False, True, False, False, False]
    assert moving["orbit"] == moving["figure_eight"] == moving["hop"] == [True, True, False, False, False]
    assert moving["spin"] == [False, False, True, False, False]
    assert moving["pulse"] == [False, False, False, True, False]
    assert moving["squash"] == [False, False, False, False, True]


def test_a_hop_is_still_between_jumps(tmp_path):
    data = tiny(tmp_path)
    hop, orbit = (motion(data.draw("train", list(ACTIONS).index(name)), 32) for name in ("hop", "orbit"))
    assert np.mean(np.diff(hop.x) == 0) > 0.6
    assert np.mean(np.diff(orbit.x) == 0) == 0


def test_the_mask_marks_exactly_the_pixels_that_show_the_actor(tmp_path):
    data = tiny(tmp_path, num_actors=MAX_ACTORS, num_scenes=16, bias=0)
    for clip in draw_all(data, "train", 64):
        frames, mask = render(clip, 6, 32, data.seed)
        assert np.array_equal((frames != background(clip, 6, 32, data.seed)).any(axis=-1), mask)
        assert np.array_equal(actor_mask(clip, 6, 32), mask)
        assert mask.any(axis=(1, 2)).all()


def test_a_larger_actor_covers_more_and_moves_as_before(tmp_path):
    masks, paths = [], []
    for actor_size in (1, 2):
        clip = tiny(tmp_path, actor_size=actor_size, size=64).draw("train", 0)
        masks.append(actor_mask(clip, 8, 64))
        paths.append(motion(clip, 8))
    assert 3.5 < masks[1].sum() / masks[0].sum() < 4.5
    assert not (masks[0] & ~masks[1]).any()
    assert all(
        np.array_equal(getattr(paths[0], name), getattr(paths[1], name)) for name in ("x", "y", "angle", "aspect")
    )


def test_the_background_moves_only_with_camera_motion(tmp_path):
    for camera_motion, moves in ((0, False), (2, True)):
        clip = tiny(tmp_path, camera_motion=camera_motion).draw("train", 0)
        frames = background(clip, 20, 32, 0)
        assert (frames != frames[0]).any() == moves


@pytest.mark.parametrize("num_actors", [1, 3])
def test_so_many_actors_take_part(tmp_path, num_actors):
    clips = draw_all(tiny(tmp_path, num_actors=num_actors), "train", 100)
    assert {clip.actor for clip in clips} == set(range(num_actors))


def test_framing_and_light_of_a_scene_vary_by_the_scene_variety_and_nothing_else_does(tmp_path):
    def varying(clip):
        return np.array([clip.scene_x, clip.scene_y, clip.brightness])

    none, half, whole = (draw_all(tiny(tmp_path, scene_variety=share), "train", 20) for share in (0, 0.5, 1))
    for clips in zip(none, half, whole, strict=True):
        assert np.allclose([varying(clip) for clip in clips], np.outer([0, 0.5, 1], varying(clips[2])))
        assert len({clip._replace(scene_x=0, scene_y=0, brightness=0) for clip in clips}) == 1
    pictures = [background(clip._replace(scene=2, camera_motion=0), 1, 32, 0) for clip in (*none[:2], *whole[:2])]
    assert np.array_equal(*pictures[:2])
    assert not np.array_equal(*pictures[2:])


def test_videos_have_the_speed_and_the_quality_that_are_asked_for(tmp_path):
    sizes = []
    for fps, quality in ((25, 40), (25, 18), (25, 5), (12, 18), (50, 18)):
        data, file = tiny(tmp_path, fps=fps, quality=quality), tmp_path / "clip.mp4"
        data._write_clip(file, data.draw("train", 0))
        with av.open(str(file)) as container:
            assert container.streams.video[0].average_rate == fps
        sizes.append(file.stat().st_size)
    assert sizes[2] > sizes[1] > sizes[0]


def test_scenes_are_distinct(tmp_path):
    clip = tiny(tmp_path).draw("train", 0)
    scenes = [background(clip._replace(scene=scene), 1, 32, 0)[0].astype(int) for scene in range(8)]
    for first in range(8):
        for second in range(first):
            assert np.abs(scenes[first] - scenes[second]).mean() > 15


def test_every_video_is_read_back_with_all_frames_as_rendered(prepared):
    for split in WRITTEN:
        records, clips = prepared.records(split), prepared.clips(split)
        for index, clip in enumerate(clips):
            reader = decord.VideoReader(records.path(index))
            read = np.stack([reader[frame].asnumpy() for frame in range(len(reader))]).astype(float)
            drawn = render(clip, 8, 32, prepared.seed).frames
            assert read.shape == drawn.shape
            # Brightness, as yuv420p has colors at half the resolution: that alone blurs an actor's edges.
            error = (read - drawn) @ np.array([0.299, 0.587, 0.114])
            assert 10 * np.log10(255**2 / np.mean(error**2)) > 28
            assert 10 * np.log10(255**2 / np.mean((read - drawn) ** 2)) > 20


def test_records_have_the_chosen_label(prepared):
    by_action, by_scene = prepared.records("train"), replace(prepared, label="scene").records("train")
    clips = prepared.clips("train")
    assert by_action.labels.tolist() == [clip.action for clip in clips]
    assert by_scene.labels.tolist() == [clip.scene for clip in clips]
    assert by_action.num_frames.tolist() == [8] * 10
    assert [by_action.path(index) for index in range(10)] == [by_scene.path(index) for index in range(10)]
    assert Path(by_action.path(9)) == prepared.folder / "train" / "00009.mp4"


def test_test_is_an_alias_of_iid(prepared):
    assert prepared.records("test").paths.tolist() == prepared.records("iid").paths.tolist()
    assert prepared.draw("test", 1) == prepared.draw("iid", 1)


def test_splits_have_different_clips(prepared):
    assert len({prepared.draw(split, 0)._replace(scene=0) for split in WRITTEN}) == len(WRITTEN)


def test_class_names_are_those_of_the_label(prepared):
    by_scene = replace(prepared, label="scene", num_actions=3)
    assert prepared.class_names == (prepared.folder / "classes.txt").read_text().split() == list(ACTIONS)
    assert by_scene.class_names[:2] == ["0_stripes", "1_checker"]
    assert (prepared.num_classes, by_scene.num_classes) == (len(prepared.class_names), len(by_scene.class_names))
    assert replace(prepared, num_actions=3).num_classes == 3


def test_tables_hold_every_parameter_and_masks_come_from_them(prepared):
    with open(prepared.folder / "swap.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    clips = prepared.clips("swap")
    assert [row["path"] for row in rows] == ["swap/00000.mp4", "swap/00001.mp4", "swap/00002.mp4"]
    assert clips == draw_all(prepared, "swap", 3)
    masks = prepared.masks("swap", [2, 0])
    assert masks.shape == (2, 8, 32, 32)
    assert np.array_equal(masks[0], render(clips[2], 8, 32, prepared.seed).mask)
    assert json.loads((prepared.folder / "parameters.json").read_text())["num_train"] == 10


def test_an_interrupted_preparation_is_completed_and_keeps_finished_files(prepared, tmp_path):
    data = tiny(tmp_path)
    data.prepare()
    for name in ("train/00003.mp4", "train.txt", "swap.txt", "swap_scenes.txt", "swap.csv", "parameters.json"):
        (data.folder / name).unlink()
    (data.folder / "train" / "00003.mp4.0123.part").write_bytes(b"half a video")
    kept = data.folder / "train" / "00004.mp4"
    before = kept.stat().st_mtime_ns
    data.prepare()
    assert contents(data) == contents(prepared)
    assert kept.stat().st_mtime_ns == before


def test_a_second_preparation_changes_nothing(prepared):
    before = {file: file.stat().st_mtime_ns for file in prepared.folder.rglob("*")}
    prepared.prepare()
    assert {file: file.stat().st_mtime_ns for file in prepared.folder.rglob("*")} == before


def test_two_processes_may_prepare_at_once(prepared, tmp_path):
    data = tiny(tmp_path)
    together(lambda number: data.prepare(), processes=2)
    # Not the videos' bytes: PyAV may find decord's x264, of another version, where decord is loaded before it.
    written, expected = contents(data), contents(prepared)
    assert written.keys() == expected.keys()
    assert all(written[name] == expected[name] for name in expected if not name.endswith(".mp4"))
    assert all(len(decord.VideoReader(str(data.folder / name))) == 8 for name in expected if name.endswith(".mp4"))


def test_the_config_names_every_argument_with_its_default():
    config = OmegaConf.load(Path(__file__).parents[3] / "configs" / "data" / "biased_scenes.yaml")
    defaults = {name: field.default for name, field in BiasedScenes.__dataclass_fields__.items() if name in config}
    assert config.pop("_target_") == "tbe.data.biased_scenes.BiasedScenes"
    config.data_dir = "data"
    assert config.root == "data/biased_scenes"
    assert {name: config[name] for name in defaults if name != "root"} == {
        name: default for name, default in defaults.items() if name != "root"
    }
    assert set(defaults) == {name for name in BiasedScenes.__dataclass_fields__ if name not in ("name", "splits")}


def test_records_need_prepare_and_a_known_split(tmp_path):
    data = tiny(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"train\.txt: expected the list that prepare\(\) writes"):
        data.records("train")
    with pytest.raises(ValueError, match="expected a split out of train, val, test, iid, swap, balanced, got 'dev'"):
        data.records("dev")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"num_actions": 9}, "expected num_actions to be an integer from 2 to 8, got 9"),
        ({"num_scenes": 1}, "expected num_scenes to be an integer from 2 to 64, got 1"),
        ({"num_actors": 0}, "expected num_actors to be an integer from 1 to 16, got 0"),
        ({"bias": 1.5}, "expected bias to be a number from 0 to 1, got 1.5"),
        ({"bias": "high"}, "expected bias to be a number from 0 to 1, got 'high'"),
        ({"num_train": 0}, "expected num_train to be an integer from 1"),
        ({"num_frames": 2.5}, "expected num_frames to be an integer from 1"),
        ({"camera_motion": -1}, "expected camera_motion to be a number from 0"),
        ({"quality": 52}, "expected quality to be an integer from 0 to 51, got 52"),
        ({"size": 48}, "expected an even size other than 48 and 72.* got 48"),
        ({"size": 33}, "expected an even size .* got 33"),
        ({"seed": -1}, "expected seed to be an integer from 0"),
        ({"fps": 0}, "expected fps to be a number from 1"),
        ({"label": "actor"}, "expected label to be one of action, scene, got 'actor'"),
    ],
)
def test_invalid_parameters_are_refused(tmp_path, change, expected):
    with pytest.raises(ValueError, match=expected):
        tiny(tmp_path, **change)
