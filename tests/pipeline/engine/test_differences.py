"""What differs between two surveys is said in words a person can act on."""

from pipeline.engine.differences import differences

BEFORE = {
    "imagery": [{"scene_id": name, "sha256": [name]} for name in ("a", "b", "c")],
    "region": {"wkb": "00"},
    "site_class": {"name": "brick_kiln", "prevalence_per_1000km2": 30.0},
    "weights": {"name": "brick_kiln", "version": "1", "sha256": "0123456789"},
    "precision": "fp32",
}


def test_the_same_survey_has_none():
    assert differences(BEFORE, dict(BEFORE)) == []


def test_each_difference_names_both_sides():
    scenes = [{"scene_id": "b", "sha256": ["other"]}, {"scene_id": "c", "sha256": ["c"]}]
    scenes += [{"scene_id": f"n{i}", "sha256": []} for i in range(5)]
    now = {
        **BEFORE,
        "imagery": scenes,
        "region": {"wkb": "01"},
        "site_class": {"name": "brick_kiln", "prevalence_per_1000km2": 99.0},
        "weights": {"name": "brick_kiln", "version": "2", "sha256": "abcdefghij"},
        "precision": "bf16",
    }
    assert differences(BEFORE, now) == [
        "imagery new: n0, n1, n2 and 2 more",
        "imagery gone: a",
        "imagery changed: b",
        'precision: was "fp32", now "bf16"',
        "region: another outline",
        "site_class.prevalence_per_1000km2: was 30.0, now 99.0",
        "weights: were brick_kiln 1 (01234567), now brick_kiln 2 (abcdefgh)",
    ]


def test_a_setting_that_was_not_known_before_is_shown():
    assert differences(BEFORE, {**BEFORE, "gate": "ab" * 60}) == [
        f'gate: was null, now "{"ab" * 28}...'
    ]
