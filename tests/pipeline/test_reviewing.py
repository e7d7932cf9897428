import csv
import json
import threading
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from maps.exclusions import read_exclusions
from maps.linking import SITES
from maps.review.decisions import NAMES, read_decisions
from models.labelled.formats.reviewed import read_reviewed
from pipeline.auditing import estimate_audit
from pipeline.cli import app
from pipeline.review_questions import ReviewRequest, make_review, read_points
from pipeline.review_saving import PATH, has_review, new_token, page_address, saver
from pipeline.reviewing import (
    export_labels,
    import_decisions,
    read_decided,
    say_agreement,
    stored_decisions,
)
from pipeline.run_imagery import scenes_of_run
from pipeline.serving import FolderServer
from tests.made_up_review import make_run
from tiles.errors import ReviewError, RunFolderError, TableError
from tiles.files import sha256_file
from tiles.tables import read_table

DATA = '<script type="application/json" id="data">'


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


def asked(page):
    """The data that a page holds."""
    html = page.read_text(encoding="utf-8")
    return json.loads(html.partition(DATA)[2].partition("</script>")[0])


def answers(run, path, answer, reviewer="Asha", rows=None, **columns):
    """Write decisions on the run's sites as the page exports them."""
    sites = read_table(run / "sites.parquet", SITES)
    chosen = sites if rows is None else sites.iloc[rows]
    table = pd.DataFrame(
        {
            "site_id": chosen["site_id"],
            "lon": chosen["lon"].round(6),
            "lat": chosen["lat"].round(6),
            "decision": [answer(n) for n in range(len(chosen))],
            "reviewer": reviewer,
            "decided_at": "2026-07-01T10:00:00Z",
            "seconds": 5.0,
            "queue": "ranked",
            **columns,
        }
    )
    table.reindex(columns=NAMES).to_csv(path, index=False)
    return path


def test_a_page_holds_the_places_their_pictures_and_no_way_out(run):
    said = make_review(ReviewRequest(run))
    page = run / "review" / "index.html"
    assert said.startswith("12 places to look at (")
    assert str(page) in said
    data = asked(page)
    assert {place["site"] for place in data["places"]} == {f"KL-{n:09d}" for n in range(12)}
    assert all(place["near"] and place["far"] for place in data["places"])
    assert data["columns"] == NAMES
    html = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in html
    assert "connect-src 'self'" in html
    assert "labour conditions not assessed" in html
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in html
    assert page.stat().st_mode & 0o777 == 0o600
    assert (run / "review").stat().st_mode & 0o777 == 0o700


def test_the_same_run_gives_the_same_page(run, tmp_path):
    for name in ("a", "b"):
        make_review(ReviewRequest(run, out=tmp_path / name))
    assert (tmp_path / "a/index.html").read_bytes() == (tmp_path / "b/index.html").read_bytes()


def test_long_lists_become_a_folder_of_pages_without_those_of_an_earlier_list(run):
    make_review(ReviewRequest(run, per_page=5))
    folder = run / "review"
    names = [f"page-{n:03d}.html" for n in (1, 2, 3)]
    assert sorted(path.name for path in folder.glob("*.html")) == ["index.html", *names]
    assert [len(asked(folder / name)["places"]) for name in names] == [5, 5, 2]
    assert 'href="page-002.html"' in (folder / "index.html").read_text(encoding="utf-8")
    make_review(ReviewRequest(run, per_page=50))
    assert [path.name for path in folder.glob("*.html")] == ["index.html"]


def test_several_dates_stand_side_by_side(tmp_path):
    run = make_run(tmp_path, dates=("20251210", "20260115", "20260301"))
    make_review(ReviewRequest(run))
    dates = [
        [p["date"] for p in place["near"]] for place in asked(run / "review/index.html")["places"]
    ]
    assert dates == [["2026-03-01", "2026-01-15", "2025-12-10"]] * 12


def test_without_imagery_the_page_still_asks_and_says_so(run):
    for scene in (run.parent / "imagery").iterdir():
        scene.unlink()
    said = make_review(ReviewRequest(run))
    assert "give --imagery" in said
    places = asked(run / "review/index.html")["places"]
    assert len(places) == 12
    assert all(place["near"] == [] and place["far"] is None for place in places)
    assert "give --imagery" in (run / "review/index.html").read_text(encoding="utf-8")


def test_moved_imagery_is_found_where_it_is_said_to_be(run):
    (run.parent / "imagery").rename(run.parent / "moved")
    assert scenes_of_run(run) == ()
    (scene,) = scenes_of_run(run, (str(run.parent / "moved"),))
    assert scene.scene_id == "scene_20260115"


def test_import_sets_the_status_in_the_table_and_the_hash_in_the_manifest(run, tmp_path):
    file = answers(run, tmp_path / "d.csv", lambda n: "confirmed" if n % 2 == 0 else "rejected")
    said = import_decisions(run, [file])
    assert said.startswith("12 decisions added, 12 in all.")
    sites = read_table(run / "sites.parquet", SITES)
    assert list(sites["review_status"]) == ["confirmed", "rejected"] * 6
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["files"]["sites.parquet"] == sha256_file(run / "sites.parquet")
    assert import_decisions(run, [file]).startswith("0 decisions added, 12 in all.")
    with pytest.raises(ReviewError, match="nothing to ask"):
        make_review(ReviewRequest(run))


def test_decided_places_are_asked_of_a_second_reviewer_only_and_disputes_are_settled(run, tmp_path):
    import_decisions(run, [answers(run, tmp_path / "a.csv", lambda n: "yes", rows=range(8))])
    make_review(ReviewRequest(run))
    assert len(asked(run / "review/index.html")["places"]) == 4
    make_review(ReviewRequest(run, reviewer="Bina", second=True))
    assert len(asked(run / "review/index.html")["places"]) == 8
    second = answers(
        run, tmp_path / "b.csv", lambda n: "no" if n < 3 else "yes", "Bina", rows=range(8)
    )
    said = import_decisions(run, [second])
    assert "Asha and Bina: 8 places in common, 62% alike" in said
    assert "3 places are in dispute" in said
    with (run / "review/disagreements.csv").open(encoding="utf-8-sig") as stream:
        assert [row["said"] for row in csv.DictReader(stream)] == [
            "Asha: confirmed; Bina: rejected"
        ] * 3
    make_review(ReviewRequest(run, queue="disputed"))
    places = asked(run / "review/index.html")["places"]
    assert [(place["stage"], place["said"]) for place in places] == [
        ("adjudication", "Asha: confirmed; Bina: rejected")
    ] * 3
    judged = answers(
        run, tmp_path / "c.csv", lambda n: "no", "Chitra", rows=range(3), stage="adjudication"
    )
    import_decisions(run, [judged])
    assert "dispute" not in say_agreement(run)
    status = read_table(run / "sites.parquet", SITES)["review_status"]
    assert list(status) == ["rejected"] * 3 + ["confirmed"] * 5 + ["unreviewed"] * 4
    assert "5.0 s each (median)" in say_agreement(run)


def test_five_reviewers_at_once_lose_nothing(run, tmp_path):
    rng = np.random.default_rng(3)
    words = np.array(["confirmed", "rejected", "unsure", "wrong_class"])
    files = [
        answers(run, tmp_path / f"{name}.csv", lambda _: rng.choice(words), name)
        for name in ("A", "B", "C", "D", "E")
    ]
    import_decisions(run, files)
    stored = stored_decisions(run)
    assert len(stored) == 60
    kept = pd.concat([read_decisions(file) for file in files], ignore_index=True)
    pd.testing.assert_frame_equal(stored, kept)
    conflicts = (kept.groupby("site_id")["decision"].nunique() > 1).sum()
    with (run / "review/disagreements.csv").open(encoding="utf-8-sig") as stream:
        assert len(list(csv.DictReader(stream))) == conflicts


def test_decisions_of_another_run_are_refused_and_those_of_an_earlier_one_follow_the_place(
    run, tmp_path
):
    far = answers(run, tmp_path / "far.csv", lambda n: "yes", lon=90.0, lat=20.0)
    with pytest.raises(ReviewError, match="they are another run's"):
        import_decisions(run, [far])
    assert not (run / "review/decisions.csv").exists()
    sites = read_table(run / "sites.parquet", SITES)
    moved = answers(
        run,
        tmp_path / "moved.csv",
        lambda n: "yes",
        site_id=[f"KL-OLD{n}" for n in range(12)],
        lon=sites["lon"] + 0.0002,  # 20 m
    )
    import_decisions(run, [moved])
    assert set(read_table(run / "sites.parquet", SITES)["review_status"]) == {"confirmed"}


def test_one_bad_file_of_several_imports_nothing(run, tmp_path):
    good = answers(run, tmp_path / "good.csv", lambda n: "yes")
    bad = answers(run, tmp_path / "bad.csv", lambda n: "perhaps")
    with pytest.raises(TableError, match="line 2, column decision"):
        import_decisions(run, [good, bad])
    assert stored_decisions(run).empty


def test_the_audit_sample_is_asked_apart_blind_and_marked_from_the_decisions(run, tmp_path):
    make_review(ReviewRequest(run, audit=24))
    data = asked(run / "review/index.html")
    audit = [place for place in data["places"] if place["queue"] == "audit"]
    others = [place for place in data["places"] if place["queue"] != "audit"]
    assert len(audit) == 24
    assert {place["kind"] for place in audit} == {"place", "ground"}
    assert all(place["p"] is None for place in audit)
    assert all(place["p"] is not None for place in others)
    drawn = {place["site"] for place in audit} - {""}
    assert not drawn & {place["site"] for place in others}
    ground = [place for place in audit if place["kind"] == "ground"]
    assert any(place["known"] for place in ground)
    rows = [
        {
            "site_id": place["site"],
            "lon": place["lon"],
            "lat": place["lat"],
            "decision": "counted" if place["kind"] == "ground" else "confirmed",
            "count": 1 if place["kind"] == "ground" else None,
            "reviewer": "Asha",
            "queue": "audit",
            "chip_id": place["chip"],
        }
        for place in audit
    ]
    pd.DataFrame(rows).reindex(columns=NAMES).to_csv(tmp_path / "d.csv", index=False)
    assert "24 of 24 chips marked" in import_decisions(run, [tmp_path / "d.csv"])
    assert "recall: " in estimate_audit(run / "review/audit")
    with (run / "review/audit/sheet.csv").open(encoding="utf-8-sig") as stream:
        marks = {row["chip_id"]: row["mark"] for row in csv.DictReader(stream)}
    assert {marks[place["chip"]] for place in ground} == {"1"}
    make_review(ReviewRequest(run, audit=24))
    left = asked(run / "review/index.html")["places"]
    assert {place["queue"] for place in left} <= {"useful", "ranked"}


@pytest.mark.parametrize("queue", ["ranked", "useful"])
def test_no_queue_shows_the_score_of_what_was_drawn_for_the_audit(run, queue):
    make_review(ReviewRequest(run, audit=16, queue="audit"))
    drawn = {place["site"] for place in asked(run / "review/index.html")["places"]} - {""}
    make_review(ReviewRequest(run, queue=queue))
    others = {place["site"] for place in asked(run / "review/index.html")["places"]}
    assert drawn
    assert others
    assert not drawn & others


def test_a_disputed_square_is_asked_again_with_the_known_sites_circled(run, tmp_path):
    make_review(ReviewRequest(run, audit=24, queue="audit"))
    places = asked(run / "review/index.html")["places"]
    square = next(place for place in places if place["kind"] == "ground" and place["known"])
    rows = [
        {
            **{name: square[name] for name in ("lon", "lat", "queue")},
            "decision": "counted",
            "count": number,
            "reviewer": reviewer,
            "chip_id": square["chip"],
        }
        for number, reviewer in enumerate(("Asha", "Bina"))
    ]
    pd.DataFrame(rows).reindex(columns=NAMES).to_csv(tmp_path / "d.csv", index=False)
    import_decisions(run, [tmp_path / "d.csv"])
    make_review(ReviewRequest(run, queue="disputed"))
    (again,) = asked(run / "review/index.html")["places"]
    assert again["kind"] == "ground"
    np.testing.assert_allclose(again["known"], square["known"], atol=0.2)  # metres, rounded


def test_a_folder_with_another_page_in_it_is_left_alone(run, tmp_path):
    (tmp_path / "index.html").write_text("<title>Mine</title>")
    (tmp_path / "page-about.html").write_text("mine")
    with pytest.raises(ReviewError, match="is no review page"):
        make_review(ReviewRequest(run, out=tmp_path))
    make_review(ReviewRequest(run))
    (run / "review/page-about.html").write_text("mine")
    make_review(ReviewRequest(run))
    assert (run / "review/page-about.html").exists()


def test_a_second_run_adds_what_only_it_found(run, tmp_path):
    other = make_run(tmp_path / "other", n_sites=15)
    make_review(ReviewRequest(run, other=other, queue="useful"))
    places = asked(run / "review/index.html")["places"]
    alone = [place for place in places if place["why"] == "found by the other run alone"]
    assert {place["site"] for place in alone} == {"KL-000000012", "KL-000000013", "KL-000000014"}
    assert len(places) == 15
    # given the score their answers are unlike others': no calibration takes them
    assert {place["queue"] for place in places} == {"compared"}


def test_what_reviewers_leave_out_is_on_the_list_of_excluded_places(run, tmp_path):
    file = answers(
        run,
        tmp_path / "d.csv",
        lambda n: "yes",
        rows=range(2),
        exclude_m=[150, None],
        exclude_reason=["a shelter", None],
    )
    said = import_decisions(run, [file])
    assert "1 places are on the list of excluded places" in said
    listed = read_exclusions(run / "review/exclusions.csv")
    (place,) = listed.places
    assert (place.radius_m, place.reason, place.added) == (150.0, "a shelter", "2026-07-01")
    sites = read_table(run / "sites.parquet", SITES)
    assert list(listed.hides(sites)) == [True] + [False] * 11
    (run / "review/exclusions.csv").write_text("lon,lat,radius_m\n")  # taken off by hand
    import_decisions(run, [file])
    assert read_exclusions(run / "review/exclusions.csv").places == ()


def test_labels_are_read_by_the_trainer(run, tmp_path):
    import_decisions(
        run,
        [answers(run, tmp_path / "d.csv", lambda n: "yes" if n % 2 == 0 else "no", rows=range(6))],
    )
    said = export_labels(run, tmp_path / "labels")
    assert said.startswith("3 site, 3 not_site, 6 doubtful; 3 squares of ground.")
    pictures = read_reviewed(tmp_path / "labels")
    assert len(pictures) >= 6
    assert sum(len(picture.sites) for picture in pictures) >= 3
    decided = read_decided(run)
    assert list(decided["decision"].value_counts()[["confirmed", "rejected"]]) == [3, 3]
    assert set(decided["asked"]) == {"ranked"}


def test_points_of_a_list_go_through_the_same_page(run, tmp_path):
    sites = read_table(run / "sites.parquet", SITES)
    points = tmp_path / "points.csv"
    table = pd.DataFrame(
        {"ID": ["a", "b"], "Longitude": sites["lon"][:2], "Latitude": sites["lat"][:2]}
    )
    table.to_csv(points, index=False)
    make_review(ReviewRequest(run, points=points))
    places = asked(run / "review/index.html")["places"]
    assert [(place["site"], place["box"], place["queue"]) for place in places] == [
        ("a", None, "points"),
        ("b", None, "points"),
    ]


def test_two_points_of_one_name_are_both_asked(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("id;lon;lat\na;77,5;28\nb;77,6;28\na;77,7;28\n", encoding="utf-16")
    points = read_points(path)
    assert list(points["site_id"]) == ["a", "b", "a-2"]
    assert list(points["lon"]) == [77.5, 77.6, 77.7]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,y\n1,2\n", "must have the columns lon and lat"),
        ("lon,lat\n77,nowhere\n", "line 2, column lat: 'nowhere'"),
        ("", "must have the columns lon and lat"),
    ],
)
def test_a_list_that_is_none_is_one_sentence(tmp_path, text, words):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(ReviewError) as error:
        read_points(path)
    assert words in str(error.value)


def test_a_folder_without_a_run_is_one_sentence(tmp_path):
    with pytest.raises(RunFolderError, match="holds no finished run"):
        make_review(ReviewRequest(tmp_path))
    with pytest.raises(RunFolderError, match="holds no finished run"):
        import_decisions(tmp_path / "none", [])


def posted(address, body):
    request = urllib.request.Request(
        f"{address.rstrip('/')}{PATH}", json.dumps(body).encode(), method="POST"
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_served_pages_save_with_the_token_and_not_without(run, tmp_path):
    make_review(ReviewRequest(run))
    assert has_review(run)
    token = new_token()
    text = answers(run, tmp_path / "d.csv", lambda n: "yes").read_text()
    with FolderServer(run, 0, {PATH: saver(run, token)}).running() as address:
        assert page_address(address, token) == f"{address}review/index.html#token={token}"
        for wrong in ({"token": "guess", "csv": text}, {"csv": text}):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                posted(address, wrong)
            assert stored_decisions(run).empty
        for _ in range(2):
            assert posted(address, {"token": token, "csv": text}) == {"saved": 12}
    assert len(stored_decisions(run)) == 12
    assert set(read_table(run / "sites.parquet", SITES)["review_status"]) == {"confirmed"}


def test_two_reviewers_who_save_at_once_both_count_or_are_told(run, tmp_path):
    make_review(ReviewRequest(run))
    save = saver(run, "t")
    bodies = [
        json.dumps(
            {
                "token": "t",
                "csv": answers(run, tmp_path / f"{n}.csv", lambda _: "yes", n).read_text(),
            }
        ).encode()
        for n in ("A", "B", "C")
    ]
    saved, refused = [], []

    def send(body):
        try:
            saved.append(save(body))
        except RunFolderError:
            refused.append(body)

    threads = [threading.Thread(target=send, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for body in refused:
        save(body)
    assert len(stored_decisions(run)) == 36


def test_the_command_asks_imports_agrees_and_exports(run, tmp_path):
    runner = CliRunner()
    file = answers(run, tmp_path / "d.csv", lambda n: "yes", rows=range(4))
    for arguments, said in (
        (["review", run, "--n", 4], "4 places to look at"),  # a run, no command: the page
        (["review", "import", run, file], "4 decisions added"),
        (["review", "agree", run], "Asha: 4 decisions"),
        (["review", "labels", run, "--out", tmp_path / "labels"], "4 site, 0 not_site"),
        (["review", "--help"], "import"),
    ):
        done = runner.invoke(app, [str(word) for word in arguments], catch_exceptions=False)
        assert done.exit_code == 0
        assert said in done.output
    with pytest.raises(TableError, match="cannot be read"):
        runner.invoke(
            app, ["review", "import", str(run), str(tmp_path / "none.csv")], catch_exceptions=False
        )
