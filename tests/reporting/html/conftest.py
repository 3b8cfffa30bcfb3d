import json

import pytest
import yaml
from PIL import Image

from tbe.data.video_writer import write_video
from tests.conftest import moving_square

EVIL = "<img src=x onerror=hacked()>"  # the name of a folder
OUTSIDE = "http://192.0.2.1/"  # what an embedded page asks for; an address that is nobody's
EVIL_CLASS = "<script>hacked()</script>"


def write_run(folder, name="demo", seed=0, ratio=0.3, curves="epoch,step,train/loss\n0,1,2.5\n0,5,1.5\n"):
    """What a pretraining run leaves behind, as far as a report reads it; None for no curves."""
    folder.mkdir(parents=True)
    erase = {"_target_": "tbe.erasing.BackgroundErasing", "ratio": ratio}
    config = {
        "run_name": name,
        "stage": "pretrain",
        "seed": seed,
        "epochs": 3,
        "run_dir": str(folder),
        "be": erase,
        "module": {"distractor": dict(erase)},
        "callbacks": {"last": {"dirpath": f"{folder}/checkpoints"}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    protocol = {"seed": seed, "steps": 5, "versions": {"torch": "2.6.0"}}
    (folder / "metrics.json").write_text(json.dumps({"train/loss": 1.5, "val/knn_top1": 12.5, "protocol": protocol}))
    if curves is not None:
        (folder / "metrics.csv").write_text(curves)
    return folder


def write_evaluation(folder, name="eval"):
    """What an evaluation of two checkpoints leaves behind, with a file of each kind that tasks write."""
    tables, pictures = folder / "test" / EVIL, folder / "cam" / "demo"
    tables.mkdir(parents=True)
    pictures.mkdir(parents=True)
    config = {"run_name": name, "tasks": {"test": {}, "cam": {}}, "run_dir": str(folder), "seed": 0}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    numbers = {"random init": {"test/top1": 5.0}, EVIL: {"test/top1": 40.0}, "protocol": {"seed": 0}}
    (folder / "metrics.json").write_text(json.dumps(numbers))
    rows = "".join(f"{number},{EVIL_CLASS if number == 7 else f'class {number}'},{number}\n" for number in range(30))
    (tables / "per_class.csv").write_text(f"class,name,accuracy\n{rows}")
    (tables / "pairs.md").write_text("Pairs\n\n| class | taken for |\n|---|---:|\n| a \\| b | 9 |\n| c | 10 |\n")
    frames = moving_square(8)
    images = [Image.fromarray(frame) for frame in frames]
    images[0].resize((600, 480)).save(pictures / "iid.png")
    images[0].save(pictures / "iid.gif", save_all=True, append_images=images[1:])
    write_video(pictures / "iid.mp4", frames, fps=8)
    reach = (
        "<script>document.title='drawn'; try { parent.hacked() } catch {}</script><img src='http://192.0.2.1/a.png'>"
    )
    (pictures / "iid.html").write_text(f"<!DOCTYPE html><title>page</title>{reach}<img src='{OUTSIDE}a.png'>")
    return folder


@pytest.fixture
def runs(tmp_path):
    """A folder of two runs, with an evaluation below one of them."""
    top = tmp_path / "all"
    write_run(top / "one")
    write_run(top / "two", seed=1, ratio=0.5, curves="epoch,step,train/loss,lr\n0,1,3.5,0.1\n0,4,nan,0.05\n0,7,2.0,\n")
    write_evaluation(top / "one" / "evaluation")
    return top
