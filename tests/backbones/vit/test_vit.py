"""What a ViT does beside what all backbones do: which tokens it sees, where they are, and that it compiles whole."""

import pytest
import torch
from torch.testing import assert_close

from tbe.backbones.vit import ViT
from tbe.backbones.vit.positions import ADDED, ROTATED
from tbe.errors import UserError

ALL = ADDED + ROTATED


def vit(**settings):
    torch.manual_seed(0)
    small = {"width": 24, "depth": 2, "heads": 2, "patch": (2, 8, 8), "grid": (4, 4, 4)}
    return ViT(**{**small, **settings}).eval()


def clips(frames=8, size=32):
    return torch.randn(2, 3, frames, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("positions", ALL)
@torch.no_grad()
def test_a_network_that_keeps_all_tokens_in_another_order_returns_them_in_that_order(positions):
    network = vit(positions=positions, registers=3)
    tokens = network.tokens(clips())
    order = torch.stack([torch.randperm(64), torch.randperm(64)])
    kept = network.tokens(clips(), keep=order)
    assert tokens.shape == (2, 64, 24)
    assert_close(kept, tokens.gather(1, order.unsqueeze(2).expand(-1, -1, 24)))
    assert_close(network.forward_features(clips())[1, :, 2, 1, 3], tokens[1, 2 * 16 + 4 + 3])


@torch.no_grad()
def test_what_is_not_kept_is_not_seen():
    network, keep = vit(registers=1), torch.tensor([[0, 5, 17], [63, 2, 40]])
    changed = clips()
    changed[0, :, 2:4, 8:16, 16:24] += 1  # its token 16 + 4 + 2
    assert torch.equal(network.tokens(changed, keep), network.tokens(clips(), keep))
    assert not torch.equal(network.tokens(changed)[0], network.tokens(clips())[0])


@pytest.mark.parametrize("positions", ADDED)
@torch.no_grad()
def test_without_positions_a_network_could_not_tell_two_places_apart(positions):
    network, same = vit(positions=positions), torch.ones(1, 3, 8, 32, 32)
    same[..., :8, :8] = 2  # one place, from which the others differ in distance
    tokens = network.tokens(same)[0].flatten(1)
    assert torch.cdist(tokens, tokens).fill_diagonal_(1).min() > 1e-4


@pytest.mark.parametrize("positions", ALL)
def test_a_network_with_registers_is_exported_for_any_number_of_clips(positions):
    network = vit(positions=positions, registers=2)
    batch = {"clips": {0: torch.export.Dim("batch")}}
    exported = torch.export.export(network, (clips(),), dynamic_shapes=batch).module()
    more = torch.cat([clips(), clips() + 1])
    assert_close(exported(more), network(more))


@torch.no_grad()
def test_registers_are_seen_and_not_returned():
    network = vit(registers=2)
    before = network.tokens(clips())
    network.registers += torch.randn(1, 2, 24)
    assert network.tokens(clips()).shape == before.shape
    assert not torch.allclose(network.tokens(clips()), before)


@pytest.mark.parametrize("positions", ["sincos", "rotary"])
def test_compiles_without_a_graph_break(positions):
    torch._dynamo.reset()
    network = vit(positions=positions, registers=1, drop_path=0.5).train()
    keep = torch.arange(10).expand(2, -1)
    for call, arguments in ((network.forward, (clips(),)), (network.tokens, (clips(6, 40), keep))):
        torch.manual_seed(3)
        expected = call(*arguments)
        torch.manual_seed(3)
        found = torch.compile(call, fullgraph=True, backend="eager")(*arguments)
        assert_close(found, expected)
        found.sum().backward()


@torch.no_grad()
def test_what_is_compiled_for_training_is_compiled_for_some_of_the_tokens_too():
    torch._dynamo.reset()
    network, keep = vit(depth=1), torch.arange(10).expand(2, -1)
    expected = network(clips()), network.tokens(clips(), keep)
    network.compile(backend="eager")
    assert network.blocks._compiled_call_impl is not None
    assert_close((network(clips()), network.tokens(clips(), keep)), expected)


def test_dropped_paths_skip_the_last_blocks_more_often():
    network = vit(depth=3, drop_path=0.4)
    assert [block.drop_path.p for block in network.blocks] == [0, 0.2, 0.4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"positions": "learned"}, "positions to be one of sincos, flat, rotary, rotary_tiled, got 'learned'"),
        ({"heads": 5}, "width, depth and heads of at least 1, .* heads=5"),
        ({"heads": 0}, "width, depth and heads of at least 1, .* heads=0"),
        ({"registers": -1}, "registers of at least 0, got -1"),
        ({"positions": "flat", "width": 27, "heads": 3}, "an even width for positions=flat, sines and cosines, got 27"),
        (
            {"positions": "rotary", "heads": 6},
            "an even number of at least 6 channels a head for .*, got 4, of width=24",
        ),
        ({"positions": "rotary_tiled", "width": 27, "heads": 3}, "an even number of at least 6 .*, got 9"),
        ({"patch": (2, 16)}, r"patch to be three numbers of at least 1, along T, H and W, got \[2, 16\]"),
        ({"drop_path": 1.0}, r"drop_path in \[0, 1\), got 1.0"),
    ],
)
def test_settings_that_make_no_network_are_refused(settings, message):
    with pytest.raises(UserError, match=f"(ViT|transformer): expected {message}"):
        vit(**settings)
