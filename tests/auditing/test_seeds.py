"""Audits of several seeds of a model become one row, whose interval is over seeds and videos."""

import csv

import numpy as np
import pytest
from scipy import stats

from tbe.auditing.__main__ import write
from tbe.auditing.answers import Answers
from tbe.auditing.clips import all_clips
from tbe.auditing.record import Audited
from tbe.auditing.seeds import Seeds, measure, ordered, read_models
from tbe.data.backgrounds import ROLES

CLASSES, VIDEOS = 4, 200
ABOUT = {"data": "drawn", "split": "iid", "draws": 400, "seed": 0, "pairs_seed": 0, "weights": [], "command": "audit"}
ABOUT |= {"origin": "drawn", "model": "net", "gallery": "train", "num_videos": VIDEOS, "num_valid": VIDEOS}
ABOUT |= {"valid_share": 100.0, "masks": "true masks", "readers": ["linear"], "versions": {}, "size": 32}
ABOUT |= {"clips": {"per video": 1, "frames": 8, "stride": 1}, "classes": list("abcd")}


def audited(folder, reliance, seed, about=ABOUT):
    """Writes an audit of a model that is right but for a share of the clips in front of other backgrounds."""
    labels = np.arange(VIDEOS) % CLASSES
    facts = {"label": labels, "is_known": np.ones(VIDEOS, int), "is_valid": np.ones(VIDEOS, int)}
    facts |= {"area": np.full(VIDEOS, 0.2)} | {f"background_{role}": (labels + 1) % CLASSES for role in ROLES}
    given = {f"linear:{clip}": labels for clip in all_clips(())}
    relies = np.random.default_rng(seed).random(VIDEOS) < reliance
    given["linear:swap_class"] = np.where(relies, (labels + 1) % CLASSES, labels)
    found = Audited(Answers([f"{number}.mp4" for number in range(VIDEOS)], facts, given), about, folder)
    found.write(folder)
    return found


def test_models_over_seeds_are_ordered_with_intervals_apart(tmp_path, capsys):
    shares = {"MoCo": 0.9, "BE": 0.6, "inter": 0.3}
    for place, (name, share) in enumerate(shares.items()):
        for seed in range(3):
            audited(tmp_path / name / str(seed), share, 10 * place + seed)
    sources = [f"{name}={tmp_path / name / '?'}" for name in ("BE", "MoCo", "inter")]
    page, card, values = write(sources, tmp_path / "card")
    text = card.read_text(encoding="utf-8")
    verdict = next(line for line in text.splitlines() if line.startswith("- **Background reliance**: MoCo "))
    assert " > BE " in verdict
    assert " > inter " in verdict
    assert verdict.endswith(": intervals apart")
    assert verdict in capsys.readouterr().out
    assert "- **Motion reliance**: BE 0.0 (0.0 to 0.0) > " in text  # nobody's: they meet
    assert text.count(" not apart, their difference 0.0 (0.0 to 0.0)") == 2
    assert "| BE − inter | " in text
    drawn = page.read_text(encoding="utf-8")
    assert 'name="viewport"' in drawn
    assert "<script" not in drawn
    assert "http:" not in drawn.replace("http-equiv", "")
    assert drawn.count("<circle") == 2 * 3 * 3  # a dot for each headline, model and seed
    assert verdict.removeprefix("- **Background reliance**: ").replace(">", "&gt;") in drawn
    assert "BE − inter" in drawn
    with values.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["measure"] == "background_reliance"]
    assert [(row["model"], row["seed"]) for row in rows] == [(m, s) for m in ("BE", "MoCo", "inter") for s in "123"]
    expected = [share.measures["linear"]["background_reliance"].value for share in read_models(sources)["BE"]]
    assert [float(row["value"]) for row in rows[:3]] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("over_seeds", [False, True])
def test_a_model_at_chance_is_too_weak_to_judge_and_no_difference_to_it_is_claimed(over_seeds, tmp_path):
    audited(tmp_path / "good", 0.5, 0)
    weak = audited(tmp_path / "weak", 0.5, 1, ABOUT | {"model": "weak"})
    rng = np.random.default_rng(0)
    guessed = {name: rng.integers(CLASSES, size=VIDEOS) for name in weak.answers.given}
    Audited(Answers(weak.answers.paths, weak.answers.facts, guessed), weak.about).write(weak.folder)
    folders = [tmp_path / name for name in ("good", "weak")]
    write([f"{folder.name}={folder}" for folder in folders] if over_seeds else folders, tmp_path)
    stem = "audit_seeds" if over_seeds else "audit"
    for kind in ("md", "html"):
        text = (tmp_path / f"{stem}.{kind}").read_text(encoding="utf-8")
        assert "too weak to judge" in text
        assert over_seeds or "told from chance, 25.0" in text
    rows = [line for line in (tmp_path / f"{stem}.md").read_text(encoding="utf-8").splitlines() if " − " in line]
    assert rows[0].split(" | ")[1:3] == ["–", "–"]


def test_an_interval_is_students_of_both_variances_together(tmp_path):
    audits = [audited(tmp_path / str(seed), share, seed) for seed, share in enumerate((0.5, 0.6, 0.8))]
    found = measure({"net": audits}, "linear")["net"]["background_reliance"]
    between, within = found.values.var(ddof=1) / 3, found.drawn.var()
    degrees = (between + within) ** 2 / (between**2 / 2 + within**2 / (VIDEOS - 1))
    half = stats.t.ppf(0.975, degrees) * (between + within) ** 0.5
    assert tuple(found.estimate) == pytest.approx(
        (found.values.mean(), *(found.values.mean() + np.array([-half, half])))
    )
    share = found.values.mean() / 100
    assert within**0.5 < 100 * (share * (1 - share) / VIDEOS) ** 0.5  # seeds differ in what they get wrong
    # Without any variance over videos it is the usual interval of a mean over seeds.
    alone = Seeds(found.values, np.full(400, 50.0), VIDEOS).estimate
    usual = stats.t.interval(0.95, 2, found.values.mean(), found.values.std(ddof=1) / 3**0.5)
    assert (alone.low, alone.high) == pytest.approx(usual)


def test_a_single_seed_has_the_interval_over_videos_and_differences_are_paired(tmp_path):
    one, other = (audited(tmp_path / name, 0.5, 7) for name in ("one", "other"))  # the same answers
    found = measure({"one": [one], "other": [other]}, "linear")
    pair = [found[name]["background_reliance"] for name in found]
    assert tuple(pair[0].estimate) == pytest.approx(tuple(one.measures["linear"]["background_reliance"]))
    assert tuple(pair[0].minus(pair[1])) == (0, 0, 0)
    assert ordered(found, "background_reliance").met == [("one", "other")]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["a={0}/a", "{0}/b"], "expected <name>=<folders> for all models or for none"),
        (["a={0}/none"], "expected <name>=<folders with audits"),
        (["a={0}/a", "b={0}/a"], "expected each audit once, got .*/a twice"),
        (["a={0}/a", "b={0}/split"], r"expected audits of drawn, iid of each model, got none of b"),
        (["a={0}/a", "b={0}/pairs"], "expected audits with the same pairs of videos"),
        (["{0}/a", "{0}/pairs"], "expected audits with the same pairs of videos"),
        (["{0}/a", "{0}/moving"], "expected audits that were made alike, got masks 'true masks' .* and 'what moves'"),
        (
            ["{0}/lent", "{0}/lent_otherwise"],
            "the same pairs of videos in all audits, got several.* for 0.mp4",
        ),
    ],
)
def test_audits_that_do_not_belong_together_are_refused(sources, message, tmp_path):
    audited(tmp_path / "a", 0.5, 0)
    audited(tmp_path / "b", 0.5, 1)
    audited(tmp_path / "split", 0.5, 1, ABOUT | {"split": "swap"})
    audited(tmp_path / "pairs", 0.5, 1, ABOUT | {"pairs_seed": 1})
    audited(tmp_path / "moving", 0.5, 1, ABOUT | {"masks": "what moves"})
    for name, step in (("lent", 1), ("lent_otherwise", 2)):
        found = audited(tmp_path / name, 0.5, 1)
        found.answers.facts["lender_other_class"] = (np.arange(VIDEOS) + step) % VIDEOS
        found.write(tmp_path / name)
    with pytest.raises(ValueError, match=message):
        write([source.format(tmp_path) for source in sources], tmp_path / "card")


@pytest.mark.parametrize("changed", [{"masks": "what moves"}, {"clips": {"per video": 10, "frames": 8, "stride": 1}}])
def test_audits_that_were_made_otherwise_are_no_seeds_of_one_model(changed, tmp_path):
    audited(tmp_path / "net" / "0", 0.5, 0)
    audited(tmp_path / "net" / "1", 0.5, 1, ABOUT | changed)
    (key,) = changed
    with pytest.raises(ValueError, match=f"expected audits that were made alike, got {key} .* and .*"):
        write([f"net={tmp_path / 'net' / '?'}"], tmp_path / "card")
