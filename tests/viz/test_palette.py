from tbe.viz.palette import COLORS, SHAPES, style


def test_at_least_101_classes_look_different():
    assert len({style(number) for number in range(104)}) == 104


def test_eight_classes_in_a_row_differ_in_color_and_in_shape():
    for start in range(104):
        looks = [style(number) for number in range(start, start + 8)]
        assert len({look.color for look in looks}) == len({look.shape for look in looks}) == 8


def test_shapes_have_similar_areas():
    assert len(set(SHAPES)) == len(SHAPES)
    assert all(0.9 < max(x * x + y * y for x, y in shape) ** 0.5 < 1.1 for shape in SHAPES)


def test_all_colors_are_visible_on_white():
    for color in COLORS:
        red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
        assert 0.3 * red + 0.59 * green + 0.11 * blue < 225
