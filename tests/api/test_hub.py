"""Exported backbones come back from folders and from a pretended Hub as they were."""

import json
import shutil
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close

import tbe
from tbe.checkpoints import checkpoint as checkpoints
from tbe.encoders import load_encoder
from tbe.evaluation.tasks.export.readme import AUDITED
from tests.conftest import SMALL, once, run_command

hub_mixin = pytest.importorskip("huggingface_hub.hub_mixin", reason="needs huggingface_hub: pip install -e '.[hub]'")

ABOUT = {"data": "drawn", "split": "test", "num_valid": 20, "num_videos": 20, "masks": "true masks", "command": "audit"}
CLIPS = torch.randn(2, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def made(run, tmp_path_factory, data_dir):
    """The folder of an export with the numbers of an audit."""
    import tbe.eval

    def make(folder):
        origin = checkpoints.read(run / "checkpoints" / "last.ckpt").origin()
        for name, of, value in (("own", origin, 41.5), ("other", {**origin, "step": -1}, 97.5)):  # left out of the card
            about = ABOUT | {"origin": of, "model": name}
            record = {"about": about, "measures": {"linear": {name: [value, 40.0, 43.0] for name in AUDITED}}}
            (folder / "audits" / name).mkdir(parents=True)
            (folder / "audits" / name / "audit.json").write_text(json.dumps(record))
        task = ["task=export", "tasks.export.formats=[safetensors]", f"tasks.export.audit={folder / 'audits'}"]
        run_command(tbe.eval, "eval", [f"checkpoint={run}", "trainer=cpu", *task], folder / "run")

    return once(tmp_path_factory, "exported", make) / "run" / "export" / "demo"


@pytest.fixture
def exported(made, tmp_path):
    return shutil.copytree(made, tmp_path / "export")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub that is a folder: whether repositories were made private, by their ids, and the folder."""
    made = {}

    class Api:
        def __init__(self, token=None):
            pass

        def create_repo(self, repo_id, private=None, exist_ok=False):
            made[repo_id] = private
            return SimpleNamespace(repo_id=repo_id)

        def upload_folder(self, *, repo_id, folder_path, **_):
            shutil.copytree(folder_path, tmp_path / "hub" / repo_id, dirs_exist_ok=True)
            return f"https://hub/{repo_id}/commit/1"

    def snapshot_download(repo_id, **_):
        return str(tmp_path / "hub" / repo_id)

    def hf_hub_download(repo_id, filename, **_):
        return str(tmp_path / "hub" / repo_id / filename)

    monkeypatch.setattr(hub_mixin, "HfApi", Api)
    monkeypatch.setattr(hub_mixin, "hf_hub_download", hf_hub_download)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return made, tmp_path / "hub"


@torch.no_grad()
def test_an_export_is_loaded_as_the_checkpoint_that_it_was(run, exported):
    expected = tbe.load(run)
    file = exported / "backbone.safetensors"
    for network in (tbe.load(exported), tbe.load(file), tbe.Pretrained.from_pretrained(exported)):
        assert not network.training
        assert network.preprocessing == expected.preprocessing
        assert_close(network(CLIPS), expected(CLIPS), atol=0, rtol=0)
    pixels = torch.rand(2, 3, 8, 32, 32)
    for name in (f"hf:{exported}", str(exported)):
        encoder = load_encoder(name)
        assert encoder.report.matched == encoder.report.total
        assert_close(encoder(pixels), load_encoder(str(run))(pixels))
    with pytest.raises(ValueError, match="expected an export's own weights, got @random"):
        load_encoder(f"hf:{exported}@random")


def test_an_export_is_evaluated_and_finetuned_like_the_checkpoint_that_it_was(run, exported, train, evaluate):
    data = ["data=biased_scenes", *(part for part in SMALL if part.startswith("data."))]
    found = [evaluate("task=knn", f"checkpoint={name}", *data, folder=name.name) for name in (run, exported)]
    numbers = [json.loads((one / "metrics.json").read_text()) for one in found]
    assert numbers[1]["knn/top1"] == numbers[0]["knn/top1"]
    protocol = numbers[1]["protocol"]["checkpoints"]["demo"]
    assert (protocol["stage"], protocol["path"]) == ("export", str(exported / "backbone.safetensors"))
    further = train("stage=finetune", f"init_from={exported}", "epochs=0", "backbone.widths=[4,8,8,8]")
    tuned, given = tbe.load(further).state_dict(), tbe.load(exported).state_dict()
    assert all(torch.equal(tuned[name], value) for name, value in given.items())


@torch.no_grad()
def test_a_pushed_backbone_comes_back_with_its_card(run, exported, hub):
    visibility, repositories = hub
    assert tbe.push(exported, "me/net", commit_message="first") == "https://hub/me/net/commit/1"
    assert visibility == {"me/net": True}
    for file in exported.iterdir():
        assert (repositories / "me" / "net" / file.name).read_bytes() == file.read_bytes()
    card = (exported / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: tbe-video\n")
    assert "| background reliance | 41.5 (40.0 to 43.0) |" in card
    assert "97.5" not in card
    for network in (tbe.load("hf:me/net"), tbe.Pretrained.from_pretrained("me/net", revision="main")):
        assert_close(network(CLIPS), tbe.load(run)(CLIPS), atol=0, rtol=0)
    assert isinstance(network, hub_mixin.ModelHubMixin)


@torch.no_grad()
def test_weights_that_were_trained_further_are_saved_without_the_numbers_of_those_before(exported, tmp_path):
    network = tbe.Pretrained.from_pretrained(exported)
    next(network.parameters()).add_(1)
    network.save_pretrained(tmp_path / "further")
    again = tbe.Pretrained.from_pretrained(tmp_path / "further")
    assert_close(again(CLIPS), network(CLIPS))
    assert not torch.equal(again(CLIPS), tbe.load(exported)(CLIPS))
    assert again.card["origin"].startswith("trained further, from: ")
    assert "Background bias" not in (tmp_path / "further" / "README.md").read_text()


def test_a_hub_out_of_reach_is_one_line_that_says_where_to_put_the_files(exported, monkeypatch):
    def refuse(*_, **__):
        raise ConnectionError("no route to host\nmore")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    monkeypatch.setattr(hub_mixin, "hf_hub_download", refuse)
    monkeypatch.setattr(hub_mixin.HfApi, "create_repo", refuse)
    files = r"copy card.json and backbone.safetensors of the repository into a folder"
    for reach in (lambda: tbe.load("hf:me/net"), lambda: tbe.Pretrained.from_pretrained("me/net")):
        with pytest.raises(
            ValueError, match=rf"me/net: expected a folder, or a repository.*no route to host\. .*{files}"
        ):
            reach()
    with pytest.raises(ValueError, match="no route to host.*upload"):
        tbe.push(exported, "me/net")
    with pytest.raises(ValueError, match="expected a folder that task=export wrote.*python eval.py task=export"):
        tbe.push("runs/demo", "me/net")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"expected the package huggingface_hub: pip install -e .\.\[hub\]"):
        tbe.load("hf:me/net")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("backbone"), "expected the card of an export"),
        (
            lambda card: card["files"]["backbone.safetensors"].update(sha256="0"),
            "expected the SHA-256 that card.json says",
        ),
        (lambda card: card["backbone"].update(_target_="os.system"), "expected a config with classes of tbe"),
        (lambda card: card["backbone"].update(widths=[4, 8, 8, 16]), "expected the weights of"),
    ],
)
def test_a_folder_whose_files_do_not_fit_is_refused(change, message, exported):
    card = json.loads((exported / "card.json").read_text())
    change(card)
    (exported / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match=message):
        tbe.Pretrained.from_pretrained(exported)
