import csv
import hashlib
import json
import re
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

import tbe.prepare.__main__ as prepare
from tbe.config import build, plain
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.sources.actor_masks import ActorMasks
from tbe.data.sources.records import read_list
from tbe.data.video_writer import write_video
from tbe.prepare.common import work
from tbe.prepare.common.decoding import opened_video
from tbe.prepare.datasets.composite.backgrounds import behind, still_place
from tbe.prepare.datasets.composite.blending import LEVELS, LIGHT, blend, box_mean, coverage, shrunk
from tbe.prepare.datasets.composite.making import Compositing, Recipe
from tbe.prepare.datasets.composite.pictures import Size
from tbe.prepare.datasets.composite.plan import Actor, Places, planned, realized_bias
from tests.conftest import SHARED, composed, moving_square
from tests.prepare.composites import (
    ACTOR,
    HEIGHT,
    NUM_FRAMES,
    PLACES,
    WALL,
    WIDTH,
    in_this_process,
    levels,
    options,
    square,
    write_actors,
    write_pictures,
)

SPLITS = ("train", "iid", "swap", "novel", "plain")


@pytest.fixture(scope="module")
def actors(tmp_path_factory):
    return write_actors(tmp_path_factory.mktemp("actors"))


@pytest.fixture(scope="module")
def composites(actors, tmp_path_factory):
    """The output of the command on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "call_in_processes", in_this_process)
        out = tmp_path_factory.mktemp("composites")
        prepare.main(options(actors, out))
    return out


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(work, "call_in_processes", in_this_process)


def plan_of(out):
    with (out / "plan.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(out):
    """Hashes each file below a folder except the report, whose rows are in the order of completion."""
    files = [file for file in sorted(out.rglob("*")) if file.is_file() and file.name != "composite_report.csv"]
    return {file.relative_to(out).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def frames_of(file):
    return PyAvReader(1)(str(file)).frames(range(NUM_FRAMES)).permute(0, 2, 3, 1).numpy().astype(int)


def crowd(num_actions=7, num_persons=10, repetitions=3):
    return [
        Actor(f"{action}/{person}_{number}.avi", action, str(person), person >= 7)
        for action in range(num_actions)
        for person in range(num_persons)
        for number in range(repetitions)
    ]


@pytest.mark.parametrize("bias", [0, 0.25, 0.9, 1])
@pytest.mark.parametrize("places", [Places(7, 2), Places(4, 1), Places(12, 3)])
def test_a_plan_has_the_requested_bias_and_places(bias, places):
    actors = crowd()
    clips = planned(actors, places, bias, seed=3)
    assert clips == planned(actors, places, bias, seed=3) != planned(actors, places, bias, seed=4)
    for split, count in {"train": 21, "iid": 9}.items():
        for action in range(7):
            shown = [clip for clip in clips if clip.split == split and clip.action == action]
            assert sum(clip.place == action % places.num_owned for clip in shown) == round(bias * count)
            assert all(clip.is_own == (clip.place == action % places.num_owned) for clip in shown)
            others = Counter(clip.place for clip in shown if not clip.is_own)
            assert not others or max(others.values()) - min([0, *others.values()]) <= 1 + len(shown) // len(others)
        assert realized_bias(clips, split) == round(bias * count) / count
    owned = {action % places.num_owned for action in range(7)}
    for clip in clips:
        allowed = {
            "train": set(range(places.num_owned)),
            "iid": set(range(places.num_owned)),
            "swap": owned - {clip.action % places.num_owned},
            "novel": set(range(places.num_owned, places.num_owned + places.num_novel)),
            "plain": {places.num_owned + places.num_novel},
        }
        assert clip.place in allowed[clip.split]
    of_split = {split: {clip.group for clip in clips if clip.split == split} for split in SPLITS}
    assert of_split["train"] == set("0123456")
    assert all(of_split[split] == set("789") for split in SPLITS[1:])


def test_lists_scenes_and_masks_follow_the_plan(composites, capsys):
    plan = plan_of(composites)
    classes = (composites / "classes.txt").read_text().split()
    places = (composites / "scenes" / "classes.txt").read_text().split()
    assert places == [*PLACES, "as_filmed"]
    masks = ActorMasks(str(composites / "masks"), above=127)
    for split in SPLITS:
        rows = [row for row in plan if row["split"] == split]
        records = read_list(composites / f"{split}.txt", composites)
        assert [path.decode() for path in records.paths] == [row["clip"] for row in rows]
        assert [classes[label] for label in records.labels] == [row["action"] for row in rows]
        scenes = read_list(composites / "scenes" / f"{split}.txt", composites)
        assert [places[scene] for scene in scenes.labels] == [row["place"] for row in rows]
        assert {row["group"] for row in rows} == ({"ann", "bob", "cem"} if split == "train" else {"dan"})
        assert all(row["action"] == row["source"].split("/")[0] for row in rows)
        for row in rows[:2]:
            found = masks(row["clip"], "", list(range(NUM_FRAMES)))
            inner = [shrunk(levels(number), 1) > 127 for number in range(NUM_FRAMES)]
            assert np.mean(found != inner) < 0.005
    assert PyAvReader(1)(str(composites / "train" / "wave" / "ann_0.mp4")).frames([0]).shape == (1, 3, 48, 64)
    assert not list(composites.rglob("*.part"))
    assert (composites / "sheet.png").stat().st_size > 1000


def test_actors_and_places_keep_their_pixels(composites):
    for row in plan_of(composites)[::5]:
        frames = frames_of(composites / row["clip"])
        behind_it = WALL if row["place"] == "as_filmed" else PLACES[row["place"]]
        for number, frame in enumerate(frames):
            inside = shrunk(levels(number), 4) == 255
            assert np.abs(frame[inside] - ACTOR).mean() < 5
            outside = shrunk(np.uint8(255) - levels(number), 4) == 255
            assert np.abs(frame[outside] - behind_it).mean() < 5


def test_no_rim_of_the_filmed_place_is_left():
    alpha = box_mean(square(0)[..., None].astype(np.float32), 1)
    light = alpha * LIGHT[30] + (1 - alpha) * LIGHT[230]  # a dark actor in front of a bright wall
    seen = LEVELS[(65535 * light).round().astype(int)].repeat(3, axis=2)
    black, alpha = np.zeros_like(seen), alpha[..., 0]
    as_seen = LEVELS[(65535 * alpha * LIGHT[seen[..., 0]]).round().astype(int)]
    assert as_seen.max() > 115  # the rim of a blend that takes what is seen for the actor
    assert blend(seen, alpha, black).max() <= 36
    assert np.array_equal(blend(seen, alpha, black)[alpha == 1], seen[alpha == 1])
    assert (blend(seen, alpha, np.full_like(seen, 77))[alpha == 0] == 77).all()


def test_half_covered_pixels_mix_half_of_the_light():
    picture, background = np.full((8, 8, 3), 255, np.uint8), np.zeros((8, 8, 3), np.uint8)
    half = blend(picture, np.full((8, 8), 0.5, np.float32), background)
    assert (half == 188).all()  # half of the light of white, in the curve of sRGB
    assert coverage(np.array([[0, 4, 8, 247, 255]], np.uint8)).tolist() == [[0, 0, 0, 1, 1]]


def test_the_box_mean_equals_a_naive_loop():
    values = np.random.default_rng(0).random((7, 9, 2)).astype(np.float32)
    padded = np.pad(values, ((2, 2), (2, 2), (0, 0)))
    for row in range(7):
        for column in range(9):
            mean = padded[row : row + 5, column : column + 5].mean(axis=(0, 1))
            assert np.allclose(box_mean(values, 2)[row, column], mean, atol=1e-6)


def test_a_matte_is_eroded_but_not_at_the_border():
    matte = np.zeros((9, 9), np.uint8)
    matte[3:, 2:7] = 255
    assert np.array_equal(np.argwhere(shrunk(matte, 1)).min(axis=0), [4, 3])
    assert (shrunk(matte, 1)[-1, 3:6] == 255).all()
    assert np.array_equal(shrunk(matte, 0), matte)


def test_a_stopped_run_resumes_to_the_same_result(actors, composites, tmp_path, monkeypatch, capsys):
    def stopped(function, items, num_workers, timeout):
        for number, outcome in enumerate(in_this_process(function, items, num_workers, timeout)):
            if number == 5:
                (tmp_path / "masks/train/jump/ann_0.mp4.0123456789abcdef0123456789abcdef.part").touch()
                raise KeyboardInterrupt
            yield outcome

    monkeypatch.setattr(work, "call_in_processes", stopped)
    with pytest.raises(SystemExit, match="130"):
        prepare.main(options(actors, tmp_path))
    assert not list(tmp_path.rglob("*.part"))
    made = sorted(tmp_path.rglob("*.mp4"))
    before = [file.stat().st_mtime_ns for file in made]
    assert len(made) >= 10
    monkeypatch.setattr(work, "call_in_processes", in_this_process)
    prepare.main(options(actors, tmp_path))
    assert before[:3] == [file.stat().st_mtime_ns for file in made[:3]]
    assert contents(tmp_path) == contents(composites)
    assert "train: 50.0% of its clips are in their action's own place" in capsys.readouterr().out
    plan = (tmp_path / "plan.csv").read_bytes()
    with pytest.raises(SystemExit, match=r"expected a report of a run with plan=.*: change --out"):
        prepare.main(options(actors, tmp_path, seed=1))
    assert (tmp_path / "plan.csv").read_bytes() == plan


def test_another_picture_of_a_place_of_the_same_name_is_not_taken_for_the_same(actors, composites, tmp_path):
    shutil.copytree(actors / "places", tmp_path / "places")
    changed = {"out": composites, "backgrounds": tmp_path / "places/home_*.png"}
    before = contents(composites)
    prepare.main(options(actors, **changed))  # where the files lie is of no matter
    shutil.copy(actors / "places/home_a.png", tmp_path / "places/home_b.png")
    with pytest.raises(SystemExit, match=r"expected a report of a run with plan=\S+ places=\S+ .*: change --out"):
        prepare.main(options(actors, **changed))
    assert contents(composites) == before


def test_matte_pictures_equal_a_matte_video(actors, composites, tmp_path, here):
    for video in sorted((actors / "masks").rglob("*.mp4")):
        with opened_video(video) as source:
            mattes = [frame.to_ndarray(format="gray") for frame in source.frames]
        write_pictures(mattes, tmp_path / "masks" / video.parent.name / video.stem)
    prepare.main(options(actors, tmp_path / "out", masks=tmp_path / "masks"))
    assert contents(tmp_path / "out") == contents(composites)


def test_square_mattes_of_a_wider_video_cover_its_actor_and_turned_or_dark_ones_are_refused(actors, tmp_path):
    squashed = [levels(number)[:, np.arange(HEIGHT) * WIDTH // HEIGHT] for number in range(NUM_FRAMES)]
    recipes = {"new.mp4": Recipe("wave/ann_0.mp4", actors / "places" / "home_a.png")}
    settings = {"moves": False, "shrink": 0, "crf": 4, "preset": "veryfast"}
    turned = [levels(number).T for number in range(NUM_FRAMES)]
    made = {"square": squashed, "dark": [matte // 255 for matte in squashed], "turned": turned}
    for folder, mattes in made.items():
        write_pictures(mattes, tmp_path / folder / "wave" / "ann_0")
    make = Compositing(
        actors / "videos", tmp_path / "square", tmp_path / "out", recipes, Size(HEIGHT, WIDTH), **settings
    )
    make("new.mp4")
    masks = frames_of(tmp_path / "out" / "masks" / "new.mp4")[..., 1] > 127
    actual = np.stack([square(number) for number in range(NUM_FRAMES)])
    assert (masks & actual).sum() > 0.85 * (masks | actual).sum()
    with pytest.raises(ValueError, match="ann_0.mp4: expected mattes with somebody .* got none above 1"):
        replace(make, masks=tmp_path / "dark", out=tmp_path / "other")("new.mp4")
    with pytest.raises(ValueError, match="expected mattes that stand as the video is shown, 48 x 64, got 64 x 48"):
        replace(make, masks=tmp_path / "turned", out=tmp_path / "other")("new.mp4")
    assert not list((tmp_path / "other").rglob("*.mp4"))


@pytest.fixture
def one_of_each(actors, tmp_path):
    """A folder of mattes and places that a test may change."""
    shutil.copytree(actors, tmp_path / "own")
    return tmp_path / "own"


def test_boxes_are_refused_and_videos_without_a_matte_left_out(one_of_each, tmp_path, here, capsys):
    (one_of_each / "masks/wave/ann_0.mp4").unlink()
    prepare.main(options(one_of_each, tmp_path / "out"))
    assert "left out 1 of 24 videos without a matte, such as 'wave/ann_0.mp4'" in capsys.readouterr().out
    (one_of_each / "masks/wave/ann_0.csv").write_text("0,1,1,9,9\n")
    with pytest.raises(
        SystemExit, match=r"expected mattes, .* got boxes of 'wave/ann_0.mp4' \(1 such\): the filmed place"
    ):
        prepare.main(options(one_of_each, tmp_path / "other"))


def test_a_matte_of_another_length_fails_and_the_rest_is_made(one_of_each, tmp_path, here, capsys):
    write_video(one_of_each / "masks/wave/ann_0.mp4", moving_square(NUM_FRAMES - 2, 48, 64), fps=12)
    with pytest.raises(SystemExit, match="1 of 42 videos failed"):
        prepare.main(options(one_of_each, tmp_path / "out"))
    printed = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "wave/ann_0.mp4: expected a matte of each of its 6 frames, got 4" in printed
    assert len(read_list(tmp_path / "out" / "train.txt", "")) == 17
    assert not (tmp_path / "out" / "masks/train/wave/ann_0.mp4").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"backgrounds": "places/home_a.png"}, r"--backgrounds: expected at least two places that actions own"),
        ({"backgrounds": "places", "novel": 3}, r"--novel: expected to leave at least two of the 4 places, got 3"),
        ({"backgrounds": "places/nothing_*"}, r"expected pictures or videos of places \(.*\), found none"),
        ({"group": "no_such_(thing)"}, r"expected a group of each video, got none of 'jump/ann_0.mp4' \(24 such\)"),
        ({"group": "[a-z]+"}, r"--group: expected one group in brackets, got 0"),
        ({"group": "("}, r"--group: expected a regular expression or a file, got '\('"),
        ({"test": "eve"}, r"--test: expected some of the groups ann, bob, cem, dan, got eve, which no video has"),
        ({"bias": 1.5}, r"expected bias 0 to 1, .* got 1.5"),
        ({"size": "48x47"}, r"--size: expected <width>x<height> in even numbers of pixels"),
        ({"masks": "nowhere"}, r"expected the folder of the mattes, got no such folder"),
        ({"test": None, "test-share": 0}, r"--test-share: expected more than 0 and less than 1, got 0.0"),
    ],
)
def test_invalid_options_are_refused_before_anything_is_made(changed, message, actors, tmp_path, monkeypatch, here):
    monkeypatch.chdir(actors)
    if "size" in changed:
        changed = changed | {"short-side": None}
    with pytest.raises(SystemExit, match=message):
        prepare.main(options(actors, tmp_path / "out", **changed))
    assert not list(tmp_path.rglob("*.mp4"))


def test_a_video_with_another_label_in_another_list_is_refused(actors, tmp_path):
    for name, label in {"one": 0, "other": 1}.items():
        (tmp_path / f"{name}.txt").write_text(f"wave/ann_0.mp4 {label}\n")
    lists = ["--list", str(tmp_path / "one.txt"), str(tmp_path / "other.txt")]
    with pytest.raises(SystemExit, match="expected one label for each video, got 0 and 1 for 'wave/ann_0.mp4'"):
        prepare.main([*options(actors, tmp_path / "out"), *lists])


def test_groups_are_read_from_a_file_and_held_out_places_are_drawn(actors, tmp_path, here, capsys):
    videos = sorted((actors / "videos").rglob("*.mp4"))
    lines = [f"{file.parent.name}/{file.name} team_{file.stem[0] in 'ab'}\n" for file in videos]
    (tmp_path / "groups.txt").write_text("".join(lines))
    changed = {"group": tmp_path / "groups.txt", "test": None, "backgrounds": actors / "places", "novel": 2, "bias": 1}
    prepare.main(options(actors, tmp_path / "out", **changed, size="32x32", **{"short-side": None}))
    plan = plan_of(tmp_path / "out")
    groups = {split: {row["group"] for row in plan if row["split"] == split} for split in SPLITS}
    assert len(groups["train"]) == len(groups["novel"]) == 1
    assert groups["train"] != groups["novel"] == groups["iid"]
    shown = {is_novel: {row["place"] for row in plan if (row["split"] == "novel") == is_novel} for is_novel in (0, 1)}
    assert not shown[0] & shown[1]
    assert PyAvReader(1)(str(tmp_path / "out" / plan[0]["clip"])).frames([0]).shape == (1, 3, 32, 32)
    assert "train: 100.0% of its clips" in capsys.readouterr().out


def test_a_video_place_is_its_median_or_its_frames_forwards_and_backwards(tmp_path):
    file = tmp_path / "street.mp4"
    frames = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (40, 40, 40, 200)])
    write_video(file, frames, fps=12, options={"crf": "4"})
    assert abs(still_place(file, (32, 32)).mean() - 40) < 3
    shown = [behind(file, (32, 32), number, moves=True).mean() for number in range(7)]
    assert np.round(np.array(shown) / 40).tolist() == [1, 1, 1, 5, 1, 1, 1]


def test_the_config_composite_has_splits_scenes_and_masks(composites):
    config = composed("train", "data=composite", f"data.root={composites}", "data.val_share=0.2", run_dir=composites)
    source = build(plain(config.data))
    source.prepare()
    assert source.num_classes == 3
    assert source.class_names == ["jump", "walk", "wave"]
    plan = {row["clip"]: row for row in plan_of(composites)}
    names = [*PLACES, "as_filmed"]
    for split in ("val", "test", *SPLITS):
        records = source.records(split)
        planned_places = [plan[path.decode()]["place"] for path in records.paths]
        assert [names[scene] for scene in source.scenes(split)] == planned_places
        assert source.foreground(split, 0, [0, 3]).shape == (2, 48, 64)
    assert len(source.records("val")) + len(source.records("train")) == 18
    by_scene = source.labelings()["scene"]
    assert by_scene.num_classes == 5
    assert by_scene.class_names == names
    assert torch.equal(torch.from_numpy(by_scene.records("val").labels), source.scenes("val"))


def test_every_probe_works_on_composites(composites, train):
    overrides = ["data=composite", f"data.root={composites}", "reader=memory", "backbone=tiny", "trainer=cpu"]
    overrides += ["clip.num_frames=4", "clip.size=32", "clip.short_side=36", "clip.stride=1", "evaluation.clips=1"]
    overrides += ["backbone.widths=[4,8,8,8]", "contrastive.queue_size=8", "datamodule.val_limit=4", "batch_size=4"]
    overrides += ["epochs=1", "datamodule.num_workers=0", "trainer.limit_train_batches=1"]
    overrides += ["evaluation.splits=[swap,plain]", "task=[scenes,robustness,cam]", "tasks.robustness.weights=[0.5]"]
    run = train(*overrides, small=False)
    metrics = json.loads((run / "metrics.json").read_text())
    assert "robustness/swap/linear_top1/plain" in metrics
    assert "scenes/scene_R@1/swap" in metrics
    assert not any(name.startswith("scenes/") and name.endswith("plain") for name in metrics)
    assert 0 < metrics["cam/foreground_area/swap"] < 60


def test_real_people_in_real_places(tmp_path, here):
    folder = SHARED / "mlr511"
    if not folder.is_dir():
        pytest.skip(f"needs the real videos in {folder} (or TBE_SHARED_DATA=<folder>)")
    signs = ["eat/signer01_01.mp4 0", "eat/signer09_01.mp4 0", "go/signer01_01.mp4 1", "go/signer09_01.mp4 1"]
    (tmp_path / "some.txt").write_text("\n".join(signs))
    places = {"backgrounds": folder / "backgrounds/home_0[01].png", "novel": folder / "backgrounds/novel_00.png"}
    told = {"list": tmp_path / "some.txt", "group": r"signer(\d+)", "test": "09"}
    prepare.main(options(folder, tmp_path / "out", **places, **told, **{"short-side": 72, "bias": 1}))
    swapped = [row for row in plan_of(tmp_path / "out") if row["split"] == "swap"]
    assert {(row["action"], row["place"]) for row in swapped} == {("0", "home_01"), ("1", "home_00")}
    for row in swapped:
        shown = PyAvReader(1)(str(tmp_path / "out" / row["clip"])).frames([5])[0].permute(1, 2, 0).numpy().astype(int)
        place = still_place(folder / f"backgrounds/{row['place']}.png", (72, 128)).astype(int)
        assert np.abs(shown - place)[:20, :20].mean() < 6  # nobody is there
        assert 0.1 < ActorMasks(str(tmp_path / "out/masks"), above=127)(row["clip"], "", [5])[0].mean() < 0.6
