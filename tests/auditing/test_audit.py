"""Audits of networks that are known to read the background, the actor, or the motion, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tbe.auditing.__main__ import write
from tbe.auditing.leaderboard import read
from tbe.auditing.measures import chance
from tbe.auditing.record import Audited
from tbe.auditing.task import Audit
from tbe.evaluation.tasks.linear import LinearProbe
from tests.auditing.conftest import CLASSES, Actor, Background, Drawn, Motion

AUDIT = Audit(LinearProbe(strengths=(10.0,)), weights=(0.5,), draws=200, pictures=0)
READS = {"background": Background, "actor": Actor, "motion": Motion}


def values(audited, reader="linear"):
    return {name: estimate.value for name, estimate in audited.measures[reader].items()}


@pytest.mark.parametrize("reads", READS)
def test_what_a_network_reads_is_what_it_is_found_to_rely_on(reads, asked):
    found = values(AUDIT.audit(asked(READS[reads]()), "test"))
    assert (found["clean_top1"], found["own_top1"], found["swap_same_top1"]) == (100, 100, 100)  # the cut costs nothing
    of_background, of_motion = reads == "background", reads == "motion"
    for swapped in ("swap_close", "swap_far", "swap_class"):
        assert found[f"{swapped}_top1"] == (0 if of_background else 100)
    assert found["background_reliance"] == (100 if of_background else 0)
    assert (found["sberr"], found["sberr_control"]) == (100 if of_background else 0, 0)
    assert found["contrasted_top1"] == (100 - 100 / CLASSES if of_motion else 0)  # nothing moves: one class for all
    assert found["motion_reliance"] == (100 - 100 / CLASSES if of_motion else 0)
    assert found["conflict_error"] == 100 or not of_background
    assert found["conflict_error"] > 0 or of_motion  # who reads actors sees two of them
    assert found["background_only_top1"] == (100 if of_background else 100 / CLASSES)
    assert found["foreground_only_top1"] == (100 / CLASSES if of_background else 100)
    assert found["frames_top1"] == (100 / CLASSES if of_motion else 100)
    assert found["scene_top1"] == 100


def test_an_audit_repeats_whatever_the_batch_and_all_numbers_follow_from_its_table(asked, tmp_path):
    one = AUDIT.audit(asked(Actor(), batch_size=3), "test")
    other = AUDIT.audit(asked(Actor(), batch_size=8, name="other"), "test")
    assert (one.folder / "answers.csv").read_text() == (other.folder / "answers.csv").read_text()
    read_back = Audited.read(tmp_path / "audit" / "net")
    assert values(read_back) == pytest.approx(values(one), nan_ok=True)
    assert read_back.about == one.about


def test_only_the_chosen_splits_are_audited(asked):
    evaluation = asked(Actor())
    evaluation.queries = ["train", "test"]
    found = replace(AUDIT, splits=["test"]).run(evaluation)
    assert {name.rpartition("/")[2] for name in found} == {"test"}
    with pytest.raises(ValueError, match="audit.splits: expected some of the measured splits, train, test, got plain"):
        replace(AUDIT, splits=["test", "plain"]).run(evaluation)


def test_the_model_is_asked_by_its_own_head_too_if_it_knows_the_classes(asked, caplog):
    classifier = nn.Module()
    classifier.backbone, classifier.head = Background(), nn.Linear(3, CLASSES)
    with torch.no_grad():  # always the third class
        classifier.head.weight.zero_()
        classifier.head.bias.copy_(torch.tensor([0.0, 0, 1, 0]))
    audited = AUDIT.audit(asked(classifier.backbone, classifier=classifier), "test")
    assert audited.readers == ["linear", "head"]
    assert values(audited, "head")["clean_top1"] == 100 / CLASSES
    assert values(audited, "head")["background_reliance"] != values(audited, "head")["background_reliance"]  # nan
    assert values(audited)["clean_top1"] == 100
    assert chance(audited.answers) == 100 / CLASSES
    classifier.head = nn.Linear(3, CLASSES + 1)  # of other classes than the data
    assert AUDIT.audit(asked(classifier.backbone, classifier=classifier), "test").readers == ["linear"]
    assert "task=audit: the head of 'net' knows 5 classes, data=drawn has 4: it is left out" in caplog.text


def test_without_masks_what_moves_is_the_actor(asked):
    audited = AUDIT.audit(asked(Background(), Drawn(known=False)), "test")
    assert audited.about["masks"] == "what moves"
    assert audited.about["known_share"] == 0
    assert values(audited)["background_reliance"] == 100


def test_a_card_shows_all_models_and_needs_nothing_else(asked, tmp_path):
    audit = Audit(AUDIT.linear, (0.5,), draws=200, pictures=2, leaderboard=str(tmp_path / "results" / "audit.csv"))
    rows = {name: audit.run(asked(READS[name](), name=name)) for name in ("background", "actor")}
    assert rows["actor"]["audit/background_reliance"] == 0
    assert rows["background"]["audit/background_reliance_low"] == 100
    assert rows["background"]["audit/valid_masks"] == 100
    audit.compare(rows, tmp_path)
    card, text = ((tmp_path / f"audit.{kind}").read_text(encoding="utf-8") for kind in ("html", "md"))
    assert card.count("data:image/webp;base64,") == 2 * 7  # films of two videos
    assert "http:" not in card.replace("http-equiv", "")
    assert "<script" not in card
    assert 'name="viewport"' in card
    for said in ("Background reliance", "top-1 of own − top-1 of swap_class", "actor − background", "python "):
        assert said in card
        assert said in text
    assert "| **Background reliance** | 100.0 (100.0 to 100.0) | 0.0 (0.0 to 0.0) |" in text
    assert "-100.0 (-100.0 to -100.0)" in text  # the paired difference
    assert len(card) < 10 * 2**20
    board = tmp_path / "results" / "audit.csv"
    assert [row["model"] for row in read(board)] == ["background", "actor"]
    (drawn,) = write([board])
    lines = [line for line in drawn.read_text().splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines] == ["| model", "| actor", "| background"]  # least reliant first
    (again,) = write([tmp_path / "audit"], tmp_path / "again", tmp_path / "later.csv")
    assert "Background reliance" in again.read_text(encoding="utf-8")
    by_model = [sorted(read(file), key=lambda row: row["model"]) for file in (tmp_path / "later.csv", board)]
    assert by_model[0] == by_model[1]
    for not_folders in ([board], [f"net={tmp_path / 'audit'}"]):
        with pytest.raises(ValueError, match="--leaderboard: expected folders of audits"):
            write(not_folders, tmp_path, tmp_path / "later.csv")


class Wrong(nn.Module):
    """Answers clips with what an encoder must not."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer
        self.calls = 0

    def forward(self, clips):
        self.calls += 1
        return self.answer(clips, self.calls)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda clips, _: clips, r"expected one pooled vector for each clip, \(16, 'F'\).*got \(16, 3, 8, 32, 32\)"),
        (lambda clips, _: (clips,), "expected one pooled vector for each clip.*got tuple"),
        (lambda clips, _: clips.mean(dim=(0, 2, 3, 4)).unsqueeze(0), r"one pooled vector for each clip.*got \(1, 3\)"),
        (lambda clips, call: torch.zeros(len(clips), call), "expected vectors of one length, 1 as for the first"),
        (lambda clips, _: torch.full((len(clips), 4), torch.nan), "expected finite features, got nan or inf"),
    ],
)
def test_a_model_that_gives_no_features_is_refused_in_one_line(answer, message, asked):
    with pytest.raises(ValueError, match=message) as error:
        AUDIT.audit(asked(Wrong(answer)), "test")
    assert "\n" not in str(error.value)


def test_masks_of_other_videos_and_too_few_videos_are_refused(asked):
    source = Drawn(known=False)
    source.masks = type("Masks", (), {"folder": "elsewhere"})()
    with pytest.raises(ValueError, match=r"expected masks of the videos of test below data.masks=elsewhere, got none"):
        AUDIT.audit(asked(Actor(), source), "test")
    with pytest.raises(ValueError, match=r"at least 10 videos of test with a valid mask, for intervals, got 8 of 8"):
        AUDIT.audit(asked(Actor(), Drawn(counts={"train": 6, "test": 2})), "test")
    with pytest.raises(ValueError, match="expected draws of at least 100"):
        Audit(AUDIT.linear, draws=1)


def test_networks_of_sweeps_are_told_apart_by_the_folders_above_their_runs():
    def weights(folder, origin):
        return Audited(None, {"origin": origin}, Path(folder)).weights

    assert weights("/x", {"path": "/runs/demo/2026-01-31_12-00-00/checkpoints/last.ckpt"}) == "2026-01-31_12-00-00"
    assert weights("/x", {"path": "/runs/proof_sweep/0/finetune/checkpoints/last.ckpt"}) == "proof_sweep/0/finetune"
    assert weights("/x", {"path": "/runs/demo/first/checkpoints/best.ckpt"}) == "first/best"
    assert weights("/x", {"path": "/models/a/r3d.pth"}) == "a/r3d.pth"
    assert weights("/runs/hosts_sweep/3/audit/proof", None) == "hosts_sweep/3"  # of the run's own network
    assert weights("/runs/hosts_sweep/3/audit/proof/iid", None) == "hosts_sweep/3"
    assert weights("/runs/eval/1/audit/random init", "random") == "random"
    about = {"origin": "random", "backbone": {"_target_": "tbe.backbones.I3D", "in_channels": 3}, "pairs_seed": 4}
    assert Audited(None, about, Path("/runs/eval/1")).weights == "random I3D(in_channels=3), seed 4"


def test_other_columns_are_no_leaderboard_and_no_folder_an_audit(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected the columns of an audit's leaderboard"):
        write([tmp_path / "other.csv"])
    with pytest.raises(ValueError, match="expected folders with audits"):
        write([tmp_path])
    with pytest.raises(ValueError, match="expected a leaderboard that audits wrote, got no such file"):
        write([tmp_path / "none.csv"])
