import torch

from tbe.evaluation.neighbors import Exclusion


def test_pairs_are_all_rows_of_the_same_video():
    generator = torch.Generator().manual_seed(0)
    for asked, known in [(0, 5), (5, 0), (30, 20), (7, 40)]:
        queries, gallery = (torch.randint(12, (num,), generator=generator) for num in (asked, known))
        found = Exclusion.of(queries, gallery)
        pairs = {(one, other) for one in range(asked) for other in range(known) if queries[one] == gallery[other]}
        assert set(zip(found.queries.tolist(), found.gallery.tolist(), strict=True)) == pairs
        assert len(found.queries) == len(pairs)
        assert bool(found) == bool(pairs)
        assert found.counts(asked).tolist() == [sum(row == one for row, _ in pairs) for one in range(asked)]


def test_excluded_neighbors_are_marked():
    excluded = Exclusion.of(torch.tensor([4, 5, 4]), torch.tensor([5, 4, 4]))
    indices = torch.tensor([[0, 1, 2], [1, 0, 2], [2, 1, 0]])
    assert excluded.among(indices).int().tolist() == [[0, 1, 1], [0, 1, 0], [1, 1, 0]]
