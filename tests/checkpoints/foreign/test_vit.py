"""Weights of VideoMAE, V-JEPA and V-JEPA 2: equal to transformers' networks in what they compute, or refused."""

import math
import re
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from tbe.backbones.vit import ViT
from tbe.checkpoints import foreign as weights
from tbe.checkpoints.foreign import ForeignWeights
from tbe.checkpoints.foreign.family import IMAGENET
from tbe.errors import UserError

transformers = pytest.importorskip("transformers")

SMALL = partial(ViT, width=24, depth=2, heads=2, patch=(2, 8, 8), grid=(4, 4, 4))
SIZE = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8, "layer_norm_eps": 1e-6}


def randomized(network):
    """Weights that no two layers share, biases and norms too."""
    draws = torch.Generator().manual_seed(0)
    for value in network.parameters():
        value.data = torch.randn(value.shape, generator=draws) / 5
    return network.eval()


def videomae(pooled=False):
    sizes = {"image_size": 32, "num_frames": 8, "intermediate_size": 96, "use_mean_pooling": pooled}
    return randomized(transformers.VideoMAEModel(transformers.VideoMAEConfig(**SIZE, **sizes)))


def vjepa2():
    sizes = {"crop_size": 32, "frames_per_clip": 8, "pred_hidden_size": 24, "pred_num_hidden_layers": 2}
    return randomized(transformers.VJEPA2Model(transformers.VJEPA2Config(**SIZE, **sizes, pred_num_attention_heads=2)))


def clips():
    return torch.randn(2, 3, 8, 32, 32, generator=torch.Generator().manual_seed(1))


def named_by_the_authors(state):
    """transformers' tensors of VideoMAE under the names of its authors, one bias for queries and one for values."""
    pairs = [
        (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
        (r"^encoder\.layer\.", "blocks."),
        (r"^layernorm\.", "norm."),
        (r"attention\.output\.dense", "attn.proj"),
        (r"intermediate\.dense", "mlp.fc1"),
        (r"output\.dense", "mlp.fc2"),
        (r"layernorm_before", "norm1"),
        (r"layernorm_after", "norm2"),
        (r"attention\.attention\.query\.bias", "attn.q_bias"),
        (r"attention\.attention\.value\.bias", "attn.v_bias"),
    ]
    renamed = {}
    for name, value in state.items():
        if "attention.attention" in name and name.endswith("weight"):
            continue
        for pattern, theirs in pairs:
            name = re.sub(pattern, theirs, name)
        renamed[name] = value
    for block in range(2):
        of = f"encoder.layer.{block}.attention.attention."
        renamed[f"blocks.{block}.attn.qkv.weight"] = torch.cat(
            [state[f"{of}{part}.weight"] for part in ("query", "key", "value")]
        )
    return renamed


def with_whole_biases(state):
    """The authors' names of V-JEPA: one bias for queries, keys and values."""
    found = dict(state)
    for block in range(2):
        queries, values = (found.pop(f"blocks.{block}.attn.{part}_bias") for part in "qv")
        found[f"blocks.{block}.attn.qkv.bias"] = torch.cat([queries, torch.zeros(24), values])
    return found


def sines_and_cosines():
    """V-JEPA's positions as a loop: eight channels for each of T, H and W."""
    rows = []
    for place in ((t, h, w) for t in range(4) for h in range(4) for w in range(4)):
        phases = [[count / 10000 ** (wave / 4) for wave in range(4)] for count in place]
        rows.append([part(phase) for axis in phases for part in (math.sin, math.cos) for phase in axis])
    return torch.tensor(rows).unsqueeze(0)


def older(state):
    """Names of transformers' files of VideoMAE, on the Hub."""
    renames = {"query.bias": "q_bias", "value.bias": "v_bias"}
    return {
        re.sub(r"(query|value)\.bias", lambda found: renames[found[0]], name): value for name, value in state.items()
    }


def named_by_the_authors_of_vjepa2(state):
    """Our tensors under the names of V-JEPA's and V-JEPA 2's authors."""
    renames = {
        "tubelets.": "patch_embed.proj.",
        ".attention.qkv.": ".attn.qkv.",
        ".attention.out.": ".attn.proj.",
        ".mlp.0.": ".mlp.fc1.",
        ".mlp.2.": ".mlp.fc2.",
    }
    for ours, theirs in renames.items():
        state = {name.replace(ours, theirs): value for name, value in state.items()}
    return state


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


CASES = {
    "VideoMAE": ("flat", lambda state: {"model": {**prefixed(state, "encoder."), "mask_token": torch.zeros(1, 1, 12)}}),
    "VideoMAE of transformers": (
        "flat",
        lambda state: {**prefixed(state, "videomae."), "classifier.bias": torch.zeros(3)},
    ),
    "VideoMAE of transformers, on the Hub": ("flat", older),
}


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_videomaes_tokens_are_those_of_transformers(case):
    theirs, (positions, written) = videomae(), CASES[case]
    state = theirs.state_dict()
    state = named_by_the_authors(state) if case == "VideoMAE" else state
    network = SMALL(positions=positions).eval()
    match = weights.load(network, written(state), "file")
    assert match.family == case.split(",")[0]
    assert match.share == 1
    assert_close(network.tokens(clips()), theirs(clips().transpose(1, 2)).last_hidden_state, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_vjepas_tokens_are_those_of_the_same_network_with_its_positions():
    theirs = videomae()
    theirs.embeddings.position_embeddings = positions = sines_and_cosines()
    state = {**with_whole_biases(named_by_the_authors(theirs.state_dict())), "pos_embed": positions}
    content = {"encoder": prefixed(state, "module.backbone."), "target_encoder": prefixed(state, "module.backbone.")}
    network = SMALL().eval()
    match = weights.load(network, content, "file")
    assert (match.family, match.share, match.unexpected) == ("V-JEPA", 1, ("pos_embed",))
    assert_close(network.tokens(clips()), theirs(clips().transpose(1, 2)).last_hidden_state, atol=1e-5, rtol=1e-4)
    with pytest.raises(
        UserError, match=r"positions are those of 64 tubelets, this backbone's of 32: set backbone.grid"
    ):
        weights.load(SMALL(grid=(2, 4, 4)), content, "file")
    with pytest.raises(UserError, match="choose backbone.positions=sincos. If it is V-JEPA 2, .*=rotary_tiled"):
        weights.load(SMALL(positions="flat"), content, "file")
    with pytest.raises(UserError, match="of another shape"):  # of all else too
        weights.load(SMALL(width=48), content, "file")
    content["encoder"]["module.backbone.pos_embed"] = positions.flip(2)
    with pytest.raises(UserError, match="its positions are others than backbone.positions=sincos"):
        weights.load(SMALL(), content, "file")


@torch.no_grad()
@pytest.mark.parametrize(
    ("whose", "has_table"),  # of positions, which it does not use
    [("V-JEPA 2", False), ("V-JEPA 2", True), ("V-JEPA 2 of transformers", False)],
)
def test_vjepa2s_tokens_are_those_of_transformers(whose, has_table, caplog):
    theirs = vjepa2()
    state = theirs.state_dict()
    if whose == "V-JEPA 2":
        state = {name.removeprefix("encoder."): value for name, value in state.items() if name.startswith("encoder.")}
        for block in range(2):
            for kind in ("weight", "bias"):
                parts = [state.pop(f"layer.{block}.attention.{part}.{kind}") for part in ("query", "key", "value")]
                state[f"layer.{block}.attn.qkv.{kind}"] = torch.cat(parts)
        renames = {"layer.": "blocks.", "layernorm.": "norm.", ".attention.proj": ".attn.proj"}
        renames["embeddings.patch_embeddings"] = "patch_embed"
        for old, new in renames.items():
            state = {name.replace(old, new): value for name, value in state.items()}
        if has_table:
            state["pos_embed"] = sines_and_cosines()
        state = {"encoder": prefixed(state, "module.backbone.")}
    network = SMALL(positions="rotary_tiled").eval()
    match = weights.load(network, state, "file")
    assert (match.family, match.share) == (whose, 1)
    said = [record.getMessage() for record in caplog.records if "pos_embed" in record.getMessage()]
    assert ["first V-JEPA, choose backbone.positions=sincos" in text for text in said] == [True] * has_table
    expected = theirs(clips().transpose(1, 2), skip_predictor=True).last_hidden_state
    assert_close(network.tokens(clips()), expected, atol=1e-5, rtol=1e-4)
    if not has_table:  # else it may be the first V-JEPA
        with pytest.raises(
            UserError, match=f"are rotary_tiled, .* are sincos: choose backbone.positions=rotary_tiled.*{whose}"
        ):
            weights.load(SMALL(), state, "file")


def test_a_file_without_the_last_norm_is_refused_although_it_has_nearly_all_tensors():
    saved = SMALL(depth=12, positions="rotary_tiled")
    state = named_by_the_authors_of_vjepa2(saved.state_dict())
    assert weights.load(SMALL(depth=12, positions="rotary_tiled"), state, "file").family == "V-JEPA 2"
    without = {name: value for name, value in state.items() if not name.startswith("norm.")}
    with pytest.raises(UserError, match="can't be used: it lacks the norm that follows the last block"):
        weights.load(SMALL(depth=12, positions="rotary_tiled"), without, "file")
    assert weights.load(SMALL(depth=12, positions="rotary_tiled", norm=False), without, "file").share == 1
    state["pos_embed"] = sines_and_cosines()
    assert weights.load(SMALL(depth=12), state, "file").family == "V-JEPA"
    del state["norm.weight"], state["norm.bias"]
    for positions in ("sincos", "rotary_tiled"):
        with pytest.raises(UserError, match="can't be used: it lacks the norm that follows the last block"):
            weights.load(SMALL(depth=12, positions=positions), state, "file")


@pytest.mark.parametrize("positions", ["rotary_tiled", "rotary"])
def test_vjepa21_is_refused_by_its_name(positions):
    state = named_by_the_authors_of_vjepa2(SMALL(depth=12, positions=positions, norm=False).state_dict())
    state |= {f"norms_block.{layer}.{kind}": torch.ones(24) for layer in range(4) for kind in ("weight", "bias")}
    state |= {"img_mod_embed": torch.zeros(1, 1, 24), "video_mod_embed": torch.zeros(1, 1, 24)}
    for norm in (True, False):
        with pytest.raises(UserError, match=r"V-JEPA 2\.1 adds an embedding of videos"):
            weights.load(SMALL(depth=12, positions=positions, norm=norm), {"encoder": state}, "file")


def test_a_file_without_a_whole_block_is_refused_unless_a_part_is_meant():
    state = SMALL(depth=11).state_dict()
    deeper = SMALL(depth=12)
    with pytest.raises(
        UserError, match=r"lacks whole blocks of this backbone \(1: blocks\.11\).*min_matched below 0.9"
    ):
        weights.load(deeper, state, "file")
    assert weights.load(deeper, state, "file", min_matched=0.5).lacking == ["blocks.11"]


def test_heads_which_weights_do_not_tell_are_said_where_no_published_network_has_them(caplog):
    state = named_by_the_authors_of_vjepa2(SMALL(positions="rotary_tiled").state_dict())
    weights.load(SMALL(positions="rotary_tiled"), state, "file")
    assert "do not tell the number of heads" in caplog.text
    assert "backbone.heads of 12 channels each (published: 64 or 80 or 88)" in caplog.text
    caplog.clear()
    wide = SMALL(positions="rotary_tiled", width=128)
    weights.load(wide, named_by_the_authors_of_vjepa2(wide.state_dict()), "file")
    assert "heads" not in caplog.text


def test_registers_in_the_file_are_those_of_another_network():
    with pytest.raises(UserError, match="of layers that the backbone lacks 1: registers"):
        weights.load(SMALL(), SMALL(registers=2).state_dict(), "file")


@torch.no_grad()
def test_a_network_that_normalizes_after_its_pooling_wants_a_backbone_without_norm():
    theirs = videomae(pooled=True)
    network = SMALL(positions="flat", norm=False).eval()
    assert weights.load(network, theirs.state_dict(), "file").share == 1
    assert_close(network(clips()), theirs(clips().transpose(1, 2)).last_hidden_state.mean(1), atol=1e-5, rtol=1e-4)
    with pytest.raises(UserError, match=r"belongs to its head: choose backbone\.norm=false"):
        weights.load(SMALL(positions="flat"), theirs.state_dict(), "file")
    with pytest.raises(UserError, match=r"of layers that the backbone lacks 2: norm\.bias, norm\.weight"):
        weights.load(network, videomae().state_dict(), "file")


def test_weights_of_ours_come_back_with_their_registers():
    saved, network = SMALL(registers=2), SMALL(registers=2)
    assert weights.load(network, prefixed(saved.state_dict(), "backbone."), "file").share == 1
    assert torch.equal(network.registers, saved.registers)


def test_colors_of_a_network_that_needs_values_to_be_built_are_found_too(monkeypatch):
    with torch.device("meta"):  # torch keeps at the first use which functions make tensors: the real ones
        torch.linspace(0, 1, 3)
    real, tried = torch.linspace, []

    def linspace(*args, **kwargs):  # as many write the rates of drop path
        values = real(*args, **kwargs)
        tried.append(values.is_meta)
        [value.item() for value in values]
        return values

    monkeypatch.setattr(torch, "linspace", linspace)
    config = {"_target_": f"{__name__}.made_of_values"}
    found = ForeignWeights("x", named_by_the_authors(videomae().state_dict()), None, 0.9).colors(config)
    assert found == IMAGENET
    assert tried[0]
    assert not tried[-1]


def made_of_values():
    torch.linspace(0, 1, 3)
    return SMALL(positions="flat")
