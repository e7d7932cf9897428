"""`kilnlight evaluate` on made-up tiles: the record, the page, the scores, and a rival."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from models.detector import Detector
from models.judging.assessing import Assessed, Question, assess, write_assessment
from models.judging.scoring import read_scores
from models.labelled.dataset import load_dataset
from models.weights import default_weights
from tests.models.made_up_chips import make_patch_weights
from tests.models.made_up_models import make_weights
from tests.models.made_up_tiles import write_tiles
from tiles.errors import DatasetError

SKIPPED = (4, 6)  # two kilns held out carry no label, and a note says so


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiles(tmp_path_factory.mktemp("tiles"), skip=SKIPPED)


@pytest.fixture(scope="module")
def assessed(dataset: Path) -> Assessed:
    detector = Detector.load(default_weights(), "cpu", "fp32")
    rival = Detector(make_weights(), "cpu", "fp32")
    return assess(detector, Question(dataset, dataset.parent, "west"), rival)


def test_labels_as_they_are_stand_beside_a_perfect_detector_and_the_notes(
    assessed: Assessed,
) -> None:
    (region,) = assessed.record.regions
    assert (region.region, region.places) == ("Plain", ("west",))
    assert region.perfect is not None
    assert region.noted is not None
    n = region.labels.n_sites
    assert region.perfect.n_unlabelled == len(SKIPPED)
    assert region.perfect.precision == pytest.approx(n / (n + 2), abs=1e-4)
    # The notes make the two kilns without a label count neither way.
    assert region.noted.n_sites == n
    assert region.noted.at(100).false_alarms <= region.labels.at(100).false_alarms
    assert region.noted.at(100).average_precision.value > 0.8


def test_land_without_sites_gives_a_rate_of_false_alarms(assessed: Assessed) -> None:
    (empty,) = assessed.record.empty
    assert (empty.region, empty.n_pictures) == ("Nowhere", 6)
    assert empty.area_km2 == pytest.approx(6 * 0.64**2, abs=0.01)
    assert empty.rates[0].kind == "all land"


def test_the_rival_is_beaten_on_the_same_blocks(assessed: Assessed) -> None:
    ap = assessed.record.gains[0]
    assert ap.region == "Plain"
    assert ap.second == pytest.approx(
        assessed.record.regions[0].noted.at(100).average_precision.value, abs=1e-3
    )
    assert ap.gain.value == pytest.approx(ap.second - ap.first, abs=1e-3)
    assert ap.gain.low > 0


def test_everything_is_written_and_the_page_asks_nobody(assessed: Assessed, tmp_path: Path) -> None:
    record, page, scores = write_assessment(assessed, tmp_path / "out")
    figures = json.loads(record.read_text())
    assert figures["disclaimer"] == "worksite detected, labour conditions not assessed"
    assert figures["licence"] == assessed.record.licence
    html = unescape(page.read_text())
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in html
    assert "<script" not in html
    assert not re.search(r"(?:src|href)=\"(?!data:)", html)
    assert "https://" not in html
    images = re.findall(r"<img [^>]*>", html)
    assert images
    assert all(re.search(r'alt="[^"]{20,}"', image) for image in images)
    assert len(read_scores([scores])) == len(assessed.table)


def test_the_same_input_gives_the_same_bytes(assessed: Assessed, tmp_path: Path) -> None:
    first = [p.read_bytes() for p in write_assessment(assessed, tmp_path / "a")]
    second = [p.read_bytes() for p in write_assessment(assessed, tmp_path / "b")]
    assert first == second


def test_weights_that_saw_what_is_held_out_are_not_judged_by_it(dataset: Path) -> None:
    question = Question(dataset, dataset.parent, "west")
    (seen,) = load_dataset(dataset, dataset.parent, "west").held_out
    weights = make_weights()

    def detector(**changes: object) -> Detector:
        return Detector(
            replace(weights, card=weights.card.model_copy(update=changes)), "cpu", "fp32"
        )

    with pytest.raises(DatasetError, match=r"learnt from 'made up \(CC0-1.0\)', of which the fold"):
        assess(detector(name="made_up", trained_on=(seen,)), question)
    with pytest.raises(DatasetError, match="--fold west` made"):
        assess(detector(), question, detector(name="made_up-east", trained_on=(seen,)))
    assert assess(detector(name="made_up-west", trained_on=(seen,)), question).record.regions


def test_weights_of_another_class_are_refused(dataset: Path) -> None:
    detector = Detector.of(make_patch_weights(), "cpu", "fp32")
    with pytest.raises(
        DatasetError, match="finds gold_mine, and the labels are of the class brick"
    ):
        assess(detector, Question(dataset, dataset.parent, "west"))


def test_a_class_beside_the_dataset_file_is_found_from_anywhere(
    dataset: Path, tmp_path: Path
) -> None:
    own = (Path("models") / "brick_kiln.toml").read_text()
    (dataset.parent / "own.toml").write_text(own.replace("= 30.0", "= 7.0"))
    other = dataset.parent / "with_class.toml"
    other.write_text('site_class = "own.toml"\n' + dataset.read_text())
    record = assess(
        Detector(make_weights(), "cpu", "fp32"), Question(other, dataset.parent, "west")
    ).record
    assert record.prevalence_per_1000km2 == 7.0


def test_nothing_held_out_is_refused(dataset: Path, tmp_path: Path) -> None:
    text = dataset.read_text()
    plain = dataset.parent / "plain.toml"
    plain.write_text(text[: text.index("[[empty_chips]]")] + text[text.index("[folds") :])
    detector = Detector(make_weights(), "cpu", "fp32")
    with pytest.raises(
        DatasetError, match=r"holds nothing out without --fold \(its folds are west"
    ):
        assess(detector, Question(plain, dataset.parent))
