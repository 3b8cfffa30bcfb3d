import numpy as np
import pytest
from PIL import Image

from tbe.viz.class_counts import draw_counts


@pytest.mark.parametrize("num_classes", [1, 2, 101])
def test_each_class_has_a_bar_and_a_legible_name(num_classes, tmp_path):
    counts = {split: np.arange(num_classes) for split in ("train", "val", "test")}
    draw_counts(counts, [f"$x^ {number} $" for number in range(num_classes)], "$^$", tmp_path / "bars.png")
    with Image.open(tmp_path / "bars.png") as picture:
        assert 150 * 0.16 * num_classes < picture.height < 150 * (0.16 * num_classes + 2)
