import base64
import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml
from PIL import Image

from tbe.reporting.__main__ import main
from tests.conftest import command_line
from tests.reporting.html.conftest import EVIL, EVIL_CLASS, write_run

LINKING = {"src", "href", "srcset", "poster", "data", "action", "background"}


class Elements(HTMLParser):
    """All elements of a page with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def written(runs):
    main([str(runs)])
    return (runs / "report.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_beside_it(written):
    elements = Elements(written).found
    linked = [value for _, attributes in elements for name, value in attributes.items() if name in LINKING]
    assert linked
    assert all(value.startswith(("data:", "#")) for value in linked)
    assert not {"link", "base", "object", "embed"} & {tag for tag, _ in elements}
    assert "url(" not in written
    assert "@import" not in written


def test_every_picture_and_film_is_in_the_page(written, runs):
    data = [attributes for _, attributes in Elements(written).found if attributes.get("src")]
    shown = [attributes for attributes in data if attributes["src"].startswith("data:")]
    names = {attributes.get("alt") or attributes.get("aria-label") for attributes in shown}
    assert names == {"cam/demo/iid.png", "cam/demo/iid.mp4"}  # the GIF shows what the film shows
    film = base64.b64encode((runs / "one" / "evaluation" / "cam" / "demo" / "iid.mp4").read_bytes()).decode()
    assert film in "".join(attributes["src"] for attributes in shown)


def test_a_picture_is_carried_in_the_size_in_which_it_is_looked_at(runs):
    folder = runs / "one" / "evaluation" / "cam" / "demo"
    (folder / "iid.mp4").unlink()
    noise = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((1920, 1200)).save(folder / "large.png")
    main([str(runs)])
    found = Elements((runs / "report.html").read_text(encoding="utf-8")).found
    images = [attributes for tag, attributes in found if tag == "img" and attributes.get("src")]
    sources = {attributes["alt"]: attributes["src"] for attributes in images}
    large = Image.open(io.BytesIO(base64.b64decode(sources["cam/demo/large.png"].partition(",")[2])))
    assert large.size == (1600, 1000)
    reduced = np.asarray(Image.open(folder / "large.png").resize((1600, 1000), Image.Resampling.LANCZOS), dtype=float)
    assert np.abs(np.asarray(large.convert("RGB"), dtype=float) - reduced).mean() < 6  # of 255: it is the same picture
    assert base64.b64decode(sources["cam/demo/iid.gif"].partition(",")[2]) == (folder / "iid.gif").read_bytes()


def test_the_page_opens_with_small_tables(written):
    order = [written.index(f">{title}</h2>") for title in ("Numbers", "cam", "Curves", "Settings", "All numbers")]
    assert order == sorted(order)
    assert "<strong>40</strong>" in written  # the better of two checkpoints


def test_text_does_not_become_markup(written):
    parsed = Elements(written)
    assert EVIL in parsed.text
    assert EVIL_CLASS in parsed.text
    assert not [attributes for _, attributes in parsed.found if "onerror" in attributes]
    assert [tag for tag, _ in parsed.found].count("script") == 1


def test_a_large_file_is_named_with_its_size(runs, tmp_path):
    large = runs / "one" / "evaluation" / "cam" / "demo" / "large.mp4"
    large.write_bytes(bytes(3 * 2**19))
    main([str(runs), "--most-mib", "1", "--out", str(tmp_path / "new" / "page.html")])
    text = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "cam/demo/large.mp4: 1.5 MiB" in text
    assert base64.b64encode(large.read_bytes()).decode() not in text


def test_a_report_is_not_part_of_the_next_one(runs, written):
    main([str(runs / "one" / "evaluation")])
    main([str(runs / "one"), "--out", str(runs / "again.html")])
    assert (runs / "again.html").read_text(encoding="utf-8").count("<iframe") == 1


def test_missing_pieces_are_left_out(tmp_path):
    folder = write_run(tmp_path / "run", curves=None)
    (folder / "metrics.json").unlink()
    main([str(folder)])
    text = Elements((folder / "report.html").read_text(encoding="utf-8")).text
    assert "the run has not ended" in text
    assert "Curves" not in text


def test_a_sweep_shows_its_table(tmp_path):
    write_run(tmp_path / "sweep" / "0")
    (tmp_path / "sweep" / "sweep.csv").write_text("run,loss\n0: be.ratio=0.1,4.1396636962890625\n")
    main([str(tmp_path / "sweep")])
    text = Elements((tmp_path / "sweep" / "report.html").read_text(encoding="utf-8")).text
    assert "0: be.ratio=0.1" in text
    assert "4.14" in text


def test_the_command_line_says_what_is_wrong(tmp_path):
    done = command_line("-m", "tbe.reporting", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}: expected the folder of a run")
    assert "Traceback" not in done.stderr


def test_runs_that_were_measured_on_other_data_are_not_compared(tmp_path):
    for number, (data, score) in enumerate((("ucf101", 30.0), ("ucf101", 40.0), ("hmdb51", 70.0))):
        folder = write_run(tmp_path / "runs" / str(number), name=f"run {number}")
        protocol = {"data": data, "test": {"clips": 10}}
        (folder / "metrics.json").write_text(json.dumps({"linear/top1": score, "protocol": protocol}))
    main([str(tmp_path / "runs")])
    text = Elements((tmp_path / "runs" / "report.html").read_text(encoding="utf-8")).text
    assert "Training: ucf101, 10 clips a video" in text
    assert "Training: hmdb51, 10 clips a video" in text


def test_runs_that_were_measured_on_other_splits_queries_or_crops_are_not_compared(tmp_path):
    asked = {"split": 1, "query": "test", "crops": 1}
    for number, other in enumerate(({}, {"query": "val"}, {"crops": 3}, {"split": 2})):
        chosen = asked | other
        folder = write_run(tmp_path / "runs" / str(number), name=f"run {number}")
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config |= {"data": {"split": chosen["split"]}, "evaluation": {"splits": [chosen["query"]]}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        protocol = {"data": "ucf101", "test": {"clips": 10, "crops": chosen["crops"]}}
        (folder / "metrics.json").write_text(json.dumps({"linear/top1": 30.0 + number, "protocol": protocol}))
    main([str(tmp_path / "runs")])
    text = Elements((tmp_path / "runs" / "report.html").read_text(encoding="utf-8")).text
    for said in ("split 1, test", "split 1, val", "split 1, test, 10 clips a video, 3 crops of each", "split 2, test"):
        assert f"Training: ucf101, {said}" in text
