import numpy as np

from maps.packs.maplet import Spot, around, free_box
from maps.packs.paper import Box

SHEET = Box(10, 20, 80, 60)
LABEL = Box(0, 0, 6, 3.2)


def apart(one, other):
    across = one.x + one.width <= other.x or other.x + other.width <= one.x
    return across or one.y + one.height <= other.y or other.y + other.height <= one.y


def test_a_label_stands_beside_its_dot_and_takes_the_next_side_where_one_is_taken():
    spot = Spot(50, 50)
    first = free_box(SHEET, [], spot, 2, LABEL)
    assert (first.x, first.y) == (52, 48.4)
    second = free_box(SHEET, [first], spot, 2, LABEL)
    assert (second.x, second.y) == (42, 48.4)
    assert free_box(SHEET, [around(spot, 9)], spot, 2, LABEL) is None


def test_no_label_covers_another_or_a_dot_or_leaves_the_map():
    rng = np.random.default_rng(4)
    spots = [Spot(10 + 80 * x, 20 + 60 * y) for x, y in rng.uniform(size=(150, 2))]
    dots = [around(spot, 1) for spot in spots]
    labels = []
    for spot in spots:
        box = free_box(SHEET, [*dots, *labels], spot, 1.8, LABEL)
        if box is not None:
            labels.append(box)
    assert 20 < len(labels) < 150, "some find room, not all"
    for number, label in enumerate(labels):
        assert all(apart(label, other) for other in [*dots, *labels[:number]])
        assert SHEET.x <= label.x <= SHEET.x + SHEET.width - label.width
        assert SHEET.y <= label.y <= SHEET.y + SHEET.height - label.height
