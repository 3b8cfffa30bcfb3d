import torch
from torch.testing import assert_close

from tbe.methods.encoder import Encoder, Projector
from tests.methods.networks import Mean


def test_embeddings_have_length_one_in_full_precision():
    encoder = Encoder(Mean(), dim=16)
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = encoder(torch.rand(4, 3, 2, 8, 8))
    assert embeddings.dtype == torch.float32
    assert_close(embeddings.norm(dim=1), torch.ones(4))


def test_the_head_is_one_layer_or_an_mlp():
    assert sum(p.numel() for p in Projector(8, 16).parameters()) == 8 * 16 + 16
    assert sum(p.numel() for p in Projector(8, 16, mlp=True).parameters()) == 8 * 8 + 8 + 8 * 16 + 16
