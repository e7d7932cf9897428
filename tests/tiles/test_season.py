from types import SimpleNamespace

from tiles.season import split_by_season


def scene(name, date):
    return SimpleNamespace(scene_id=name, date=date)


def test_scenes_are_parted_by_month_and_undated_ones_stay():
    scenes = [scene("a", "2025-07-31"), scene("b", "2025-11-01"), scene("c", None)]
    scenes += [scene("d", "2026-06-30"), scene("e", "2026-10-31")]
    split = split_by_season(scenes, (11, 12, 1, 2, 3, 4, 5, 6))
    assert [s.scene_id for s in split.within] == ["b", "c", "d"]
    assert [s.scene_id for s in split.outside] == ["a", "e"]
