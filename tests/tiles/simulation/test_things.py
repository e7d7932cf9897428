import numpy as np
import pytest

from tiles.simulation.canvas import Canvas, Colour, Frame, windows
from tiles.simulation.dress import LOOK_ALIKES_PER_KM2, PLAIN, Kiln, dress_kiln, village
from tiles.simulation.things import Slab, Stroke, capsule_m, cover, rounded_box_m

GSD_M = 10.0


def blank_canvas(size_px=160, gsd_m=GSD_M):
    """A grey canvas whose centre is the ground's (0, 0)."""
    half = size_px * gsd_m / 2
    frame = Frame(0, 0, size_px, size_px, gsd_m, lambda c, r: (c * gsd_m - half, half - r * gsd_m))
    x, y = (frame.upsample(coarse) for coarse in frame.lattice())
    return Canvas(np.full((3, size_px, size_px), 90, np.float32), x, y, gsd_m)


def some_things():
    rng = np.random.default_rng(5)
    things = [
        Stroke(-300, -200, 250, 180, 12, Colour(200, 0, 0)),
        village(40, -30, 260, PLAIN, rng),
        Slab(0, 0, 200, 120, 0.4, PLAIN.yard, 0.9, soft_m=60, ragged_m=30, seed=3),
    ]
    for make in LOOK_ALIKES_PER_KM2:
        things += make(float(rng.uniform(-200, 200)), 50.0, PLAIN, rng)
    for kind in ("FCBK", "Zigzag", "CFCBK"):
        slabs, body = dress_kiln(Kiln(20, 30, 100, 48, 0.7, kind), PLAIN, -1.0, rng)
        things += [*slabs, body]
    return things


def test_rounded_boxes_measure_the_distance_to_their_edge():
    u = np.array([0, 50, 60, 0, 0, 50], np.float32)
    v = np.array([0, 0, 0, 25, 35, 25], np.float32)
    sharp = rounded_box_m(u, v, 50, 25, 0)
    np.testing.assert_allclose(sharp, [-25, 0, 10, 0, 10, 0], atol=1e-4)
    oval = rounded_box_m(u, v, 50, 25, 25)  # round ends: the corner lies outside
    np.testing.assert_allclose(oval, [-25, 0, 10, 0, 10, 25 * (np.sqrt(2) - 1)], atol=1e-4)


def test_capsules_end_round():
    u = np.array([-3, 5, 14], np.float32)
    v = np.array([4, -2, 3], np.float32)
    np.testing.assert_allclose(capsule_m(u, v, 10), [5, 2, 5], atol=1e-6)


def test_a_shape_covers_half_a_pixel_on_its_edge():
    edge = cover(np.array([-6, -5, 0, 2.5, 5], np.float32), 10)
    np.testing.assert_allclose(edge, [1, 1, 0.5, 0.25, 0])


@pytest.mark.parametrize("number", range(len(some_things())))
def test_nothing_paints_beyond_its_reach(number):
    thing = some_things()[number]
    whole, cut_out = blank_canvas(), blank_canvas()
    thing.paint(whole)
    ((_, cut),) = windows(cut_out, np.array([[thing.x_m, thing.y_m, thing.reach_m]]))
    thing.paint(cut)
    assert cut.x_m.size < whole.x_m.size
    assert (whole.rgb != 90).any()
    np.testing.assert_array_equal(whole.rgb, cut_out.rgb)


@pytest.mark.parametrize("gsd_m", [2.0, 10.0])
def test_painted_area_is_the_area_of_the_box_at_any_pixel_size(gsd_m):
    canvas = blank_canvas(int(600 / gsd_m), gsd_m)
    Slab(3, -4, 150, 70, 0.5, Colour(190, 90, 90), 0.0, mottle=0.0).paint(canvas)
    painted_m2 = float((canvas.rgb[0] - 90).sum()) / 100 * gsd_m**2
    assert painted_m2 == pytest.approx(150 * 70, rel=0.03)


def test_narrow_roads_are_fainter_instead_of_wider():
    light = []
    for width_m in (5.0, 10.0, 20.0):
        canvas = blank_canvas()
        Stroke(-400, 0, 400, 0, width_m, Colour(190, 190, 190)).paint(canvas)
        light.append(float((canvas.rgb[0][:, 80] - 90).sum()) / 100 * GSD_M)
    np.testing.assert_allclose(light, [5, 10, 20], rtol=0.12)


@pytest.mark.parametrize("kind", ["FCBK", "Zigzag", "CFCBK"])
def test_kilns_are_redder_than_the_ground_inside_their_box_and_nowhere_else(kind):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        kiln = Kiln(0, 0, 100, 70 if kind == "CFCBK" else 48, 0.3, kind)
        _, body = dress_kiln(kiln, PLAIN, -1.0, rng)
        canvas = blank_canvas()
        body.paint(canvas)
        u, v = canvas.turned(0, 0, 0.3)
        inside = (np.abs(u) < 40) & (np.abs(v) < 14)
        outside = (np.abs(u) > 60) | (np.abs(v) > kiln.width_m / 2 + 10)
        redness = canvas.rgb[0] - canvas.rgb[2]
        assert redness[inside].mean() > 15
        assert (redness[outside] == 0).all()
