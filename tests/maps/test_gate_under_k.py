"""No file may speak of reports in a group under k, whatever its rate says: the map's figures."""

import csv
import dataclasses
import io
import json
import re

import pytest

from maps.gate import check_folder
from maps.publish import expectation, make_pages, publish
from tests.maps.test_gate import write_hash
from tiles.errors import PublishError

SURVEY = re.compile(r'(?<=<script type="application/json" id="survey">).*?(?=</script>)', re.DOTALL)


@pytest.fixture(scope="module")
def under_k(survey):
    """The survey with one group that fell under k, so that it has no count."""
    partition = survey.partition.copy()
    at = 3
    partition.loc[at, ["k_lower", "released"]] = [4, False]
    counts = survey.release.count_noised.drop(partition["group_id"][at])
    release = dataclasses.replace(survey.release, count_noised=counts)
    return dataclasses.replace(survey, partition=partition, release=release)


@pytest.fixture(scope="module", params=["public", "partner"])
def published(request, under_k, make_contents, tmp_path_factory):
    """A tier's folder, what it is held against, and the position of the group under k."""
    contents = make_contents(under_k, request.param)
    folder = tmp_path_factory.mktemp("under_k") / request.param
    publish(contents, under_k.sites, folder, languages=("en",))
    expected = expectation(contents, under_k.sites, make_pages(contents, languages=("en",)))
    silent = contents.partition.loc[~contents.partition["released"], "group_id"]
    at = list(contents.groups["group_id"]).index(next(iter(silent)))
    return folder, expected, at


def digit(text, at, to):
    assert text[at] != to
    return text[:at] + to + text[at + 1 :]


CHANGES = {
    "evidence": lambda period, at: period["figures"].update(
        evidence=digit(period["figures"]["evidence"], at, "2")
    ),
    "reporting colour": lambda period, at: period["classes"].update(
        reporting=digit(period["classes"]["reporting"], at, "3")
    ),
    "evidence colour": lambda period, at: period["classes"].update(
        evidence=digit(period["classes"]["evidence"], at, "0")
    ),
    "rate": lambda period, at: period["figures"]["rate"].__setitem__(at, 77),
    "lower end": lambda period, at: period["figures"]["rate_low"].__setitem__(at, 77),
}


def changed(published, tmp_path, change):
    """The check of a copy whose map's data were changed, its manifest corrected."""
    folder, expected, _ = published
    copy = tmp_path / folder.name
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    page = (copy / "map.html").read_text(encoding="utf-8")
    data = json.loads(SURVEY.search(page).group())
    change(data)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (copy / "map.html").write_text(SURVEY.sub(lambda _: text, page), encoding="utf-8")
    write_hash(copy, "map.html")
    return lambda: check_folder(copy, expected)


def test_a_folder_with_a_silent_group_passes(published):
    folder, expected, _ = published
    check_folder(folder, expected)


@pytest.mark.parametrize("what", CHANGES)
def test_the_map_says_nothing_of_reports_under_k(published, tmp_path, what):
    at = published[2]
    check = changed(published, tmp_path, lambda data: CHANGES[what](data["periods"][0], at))
    with pytest.raises(PublishError, match="under k"):
        check()


def test_the_maps_figures_are_those_of_the_areas(published, tmp_path):
    def more(data):
        data["periods"][0]["figures"]["expected"][0] += 70

    with pytest.raises(PublishError, match=r"map\.html holds other figures"):
        changed(published, tmp_path, more)()


def test_the_tables_figures_are_those_of_the_areas(published):
    folder, expected, _ = published
    groups = expected.groups.assign(expected_sites=expected.groups["expected_sites"] + 7)
    with pytest.raises(PublishError, match=r"groups\.csv holds other figures"):
        check_folder(folder, dataclasses.replace(expected, groups=groups))


def rated(rows):
    """The first group with a rate."""
    return next(row for row in rows if row["report_rate"])


def test_no_figure_of_reports_of_a_group_under_k(make_contents, survey, public):
    contents = make_contents(survey)
    rows = csv.DictReader(io.StringIO((public / "groups.csv").read_text(encoding="utf-8-sig")))
    group_id = rated(rows)["group_id"]
    at = contents.partition["group_id"] == group_id
    for small in ({"k_lower": 4}, {"released": False}):
        partition = contents.partition.copy()
        partition.loc[at, list(small)] = list(small.values())
        changed = dataclasses.replace(contents, partition=partition)
        expected = expectation(changed, survey.sites, make_pages(contents))
        with pytest.raises(PublishError, match=f"'{group_id}', under k"):
            check_folder(public, expected)
    silent = dataclasses.replace(
        contents, facts=contents.facts.model_copy(update={"release": None})
    )
    with pytest.raises(PublishError, match="without a release"):
        check_folder(public, expectation(silent, survey.sites, make_pages(contents)))
