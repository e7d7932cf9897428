import base64
import csv
import dataclasses
import hashlib
import io
import json

import pytest
import shapely
from markupsafe import Markup

from maps import page, text_pages
from maps.downloads import MANIFEST, downloads_of
from maps.gate import check_folder
from maps.publish import expectation, make_pages, publish
from tiles.errors import PublishError
from tiles.files import sha256_file

PAGES = ("index.html", "map.html", "table.html", "method.html")
TABLES = ("groups.csv", "groups.geojson")
FILES = [*PAGES, *downloads_of("public")]


@pytest.fixture(scope="module")
def gates(survey, make_contents):
    """By tier, the check of a folder as it was published."""

    def of(tier):
        contents = make_contents(survey, tier)
        expected = expectation(contents, survey.sites, make_pages(contents))
        return lambda folder: check_folder(folder, expected)

    return {tier: of(tier) for tier in ("public", "partner")}


@pytest.fixture
def gate(gates):
    return gates["public"]


def write_hash(folder, name):
    """Correct the manifest, as somebody would who changes a file on the way."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["sha256"][name] = sha256_file(folder / name)
    text = json.dumps(manifest, ensure_ascii=False, indent=2)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


@pytest.fixture
def sneak(request, tmp_path):
    """Copies a tier's folder with one file changed; the change must change it."""

    def copy(name, change, tier="public"):
        folder = tmp_path / tier
        folder.mkdir(exist_ok=True)
        for path in request.getfixturevalue(tier).iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        before = (folder / name).read_text(encoding="utf-8")
        after = change(before)
        assert after != before
        (folder / name).write_text(after, encoding="utf-8")
        if name != MANIFEST:
            write_hash(folder, name)
        return folder

    return copy


def of_first_area(change):
    def edit(text):
        data = json.loads(text)
        change(data["features"][0])
        return json.dumps(data)

    return edit


def of_collection(change):
    def edit(text):
        data = json.loads(text)
        change(data)
        return json.dumps(data)

    return edit


def test_gate_passes_what_was_published(public, gate):
    gate(public)


@pytest.mark.parametrize("name", FILES)
def test_gate_finds_a_site_id_anywhere(sneak, gate, survey, name):
    site_id = survey.sites["site_id"].iloc[0]
    folder = sneak(
        name,
        lambda text: f"{text} {site_id}",
    )
    with pytest.raises(PublishError, match="site id"):
        gate(folder)


WAYS = {
    "plain": "{lat:.4f}",
    "letter": "N{lat:.5f}",
    "word": "lat{lat:.5f}lon{lon:.5f}",
    "three decimals": "{lat:.3f}, {lon:.3f}",
    "two decimals": "{lat:.2f} N {lon:.2f} E",
    "comma": "{lat:.5f}",
    "degrees and minutes": "28°41'07\"N",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [*PAGES, *TABLES, "CITATION.cff", MANIFEST])
def test_gate_finds_a_position(sneak, gate, survey, name, way):
    """As a name from the user would bring it in, in every file."""
    site = survey.sites.iloc[0]
    where = WAYS[way].format(lat=site["lat"], lon=site["lon"])
    where = where.replace(".", ",") if way == "comma" else where

    def hide(text):
        if name.endswith(".html"):
            return text.replace("</main>", f"{where}</main>")
        if name == "groups.csv":
            return text.replace("rest,", f'"rest {where.replace(chr(34), chr(39))}",')
        if name == "CITATION.cff":
            return text.replace("survey: ", f"survey: {where.replace(chr(34), chr(39))} ", 1)
        data = json.loads(text)
        data["disclaimer"] += f" {where}"
        return json.dumps(data)

    with pytest.raises(PublishError, match=f"^{name} holds .* fine enough to place a site"):
        gate(sneak(name, hide))


@pytest.mark.parametrize(
    "field",
    ["region_name", "imagery", "cautions", "trained_on", "licence", "publisher", "contact"],
)
def test_a_position_in_any_text_of_the_user_is_not_published(
    make_contents, survey, tmp_path, field
):
    site = survey.sites.iloc[0]
    text = f"Kilns at {site['lat']:.2f}, {site['lon']:.2f}"
    facts = survey.facts
    if field in ("trained_on", "licence"):
        change = {"weights": facts.weights.model_copy(update={field: text})}
    else:
        change = {field: (text,) if field == "cautions" else text}
    contents = make_contents(survey, **change)
    with pytest.raises(PublishError, match="fine enough"):
        publish(contents, survey.sites, tmp_path / "public", languages=("en",))
    assert not (tmp_path / "public").exists()


def test_gate_finds_a_position_in_an_attribute_and_across_tags(sneak, gate):
    for hidden in ('<p data-label="26.81 85.12"></p>', "<p>26.81<small>, </small>85.12</p>"):
        folder = sneak("index.html", lambda text, bad=hidden: text.replace("</main>", bad))
        with pytest.raises(PublishError, match="fine enough"):
            gate(folder)


def point(survey):
    site = survey.sites.iloc[0]
    return shapely.Point(site["lon"], site["lat"])


AREA_CHANGES = {
    "only areas": lambda area, at: area.update(geometry=page.geometry_json(at)),
    "off the grid": lambda area, at: area.update(geometry=page.geometry_json(at.buffer(0.01))),
    "property 'rank'": lambda area, at: area["properties"].update(rank=1),
    "property 'id'": lambda area, at: area.update(id="7"),
    "property 'bbox'": lambda area, at: area["geometry"].update(bbox=[1, 2, 3, 4]),
    "fine enough": lambda area, at: area["properties"].update(group_id=f"at {at.y:.5f}"),
    "cannot be checked": lambda area, at: area["geometry"].pop("coordinates"),
}


@pytest.mark.parametrize("message", AREA_CHANGES)
def test_gate_finds_what_an_area_must_not_hold(sneak, gate, survey, message):
    folder = sneak(
        "groups.geojson", of_first_area(lambda area: AREA_CHANGES[message](area, point(survey)))
    )
    with pytest.raises(PublishError, match=message):
        gate(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(crs={}), "property 'crs'"),
        (lambda data: data.update(sites=[]), "property 'sites'"),
        (lambda data: data.pop("features"), "cannot be checked"),
        (lambda data: data.update(features=None), "cannot be checked"),
        (lambda data: data["features"].append(7), "cannot be checked"),
        (lambda data: data["features"][0].update(geometry=None), "cannot be checked"),
        (lambda data: data["features"][0].update(properties=None), "cannot be checked"),
        (
            lambda data: data["features"][0]["geometry"].update(coordinates=[[[1, 2, 3]] * 2]),
            "cannot be checked",
        ),
        (
            lambda data: data["features"][0]["geometry"].update(coordinates=[[["x", "y"]]]),
            "cannot be checked",
        ),
        (
            lambda data: data["features"][0]["geometry"].update(coordinates=[[[1e400, 2]]]),
            "off the globe",
        ),
    ],
)
def test_gate_refuses_tables_of_another_shape(sneak, gate, change, message):
    with pytest.raises(PublishError, match=message):
        gate(sneak("groups.geojson", of_collection(change)))


def test_gate_refuses_bytes_that_are_no_text_and_text_that_is_no_json(sneak, gate):
    folder = sneak("groups.geojson", lambda text: text[:-10])
    with pytest.raises(PublishError, match="cannot be checked"):
        gate(folder)
    (folder / "groups.geojson").write_bytes(b"\xff\xfe")
    with pytest.raises(PublishError, match="cannot be checked"):
        gate(folder)


REFRESH = "<meta http-equiv='refresh' content='0;url=map.html'>"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("groups.csv", "report_note", "rank", "column 'rank'"),
        ("groups.csv", "group_id,period", "period,group_id", "columns in another order"),
        ("groups.csv", "rest,", "rest,1,", "a row of 18 cells"),
        ("groups.csv", "rest,", "west,", "cannot be checked"),
        ("manifest.json", '"region"', '"place"', "property 'place'"),
        ("manifest.json", '"epsilon": 1.0', '"epsilon": 0.1', "another SHA-256 or fact"),
        ("CITATION.cff", "authors:", "licence: 7", "no citation"),
        ("CITATION.cff", "dataset", "software", "another citation"),
        ("data_dictionary.csv", "report_note", "note", "other columns than the tables have"),
        ("index.html", 'href="map.html"', 'href="https://example.org"', "points to"),
        ("index.html", "</main>", "<img src='chip.png'></main>", "the tag <img>"),
        ("index.html", "</main>", "<marquee>x</marquee></main>", "the tag <marquee>"),
        ("index.html", "</main>", "<!-- here --></main>", "a comment"),
        ("index.html", "<main", "<main onclick='x()'", "the attribute onclick"),
        ("index.html", "<main", "<main style='color:red'", "the attribute style"),
        ("index.html", "</style>", "@import 'x.css';</style>", "a style that it was not made"),
        ("index.html", "</main>", "<style>p{color:red}</style></main>", "a style that it was not"),
        ("index.html", "</main>", "<script>x()</script></main>", "a script that it was not made"),
        ("index.html", "</main>", "<script src='map.html'></script></main>", "a script with"),
        ("index.html", "</main>", "<style media='print'>p{}</style></main>", "a style with"),
        ("index.html", "<title>", f"{REFRESH}<title>", "<meta>"),
        ("index.html", "</main>", f"{REFRESH}</main>", "<meta>"),
        ("index.html", "no-referrer", "unsafe-url", "<meta>"),
        ("index.html", 'rel="icon"', 'rel="stylesheet"', "<link>"),
        ("index.html", "</main>", "Ten slaves here</main>", "'slave', a word that accuses"),
        ("table.hi.html", "</main>", "यहाँ बंधुआ मज़दूर हैं</main>", "a word that accuses"),
        ("table.html", "</main>", "KL-0123456789</main>", "the site id"),
        ("map.html", "default-src 'none'", "default-src *", "Content-Security-Policy"),
        ("map.html", "script-src 'sha256-", "script-src 'unsafe-inline' 'sha256-", "Policy"),
        ("map.html", "; base-uri 'none'", "", "Content-Security-Policy"),
        ("map.html", "<script>", "<script>/**/", "a script that it was not made"),
        ("map.html", 'id="survey"', 'id="sites"', "data block 'sites'"),
        ("map.html", '"tier":"public"', '"tier":"partner"', "the partner tier's data"),
        ("map.html", '"format":1', '"format":1,"points":[[77.1,28.2]]', "cannot be checked"),
        ("index.html", "</main>", "<p>Rank 1: Ramesh Bricks, 12 reports</p></main>", "other words"),
        ("method.html", "epsilon 1 ", "epsilon 0.01 ", "other words"),
        ("table.html", " per site (", " per site (9", "other words"),
        ("map.html", '"names":[', '"names":[{"en":"House at 28.6139, 77.2090"},', "fine enough"),
    ],
)
def test_gate_finds_what_a_file_must_not_hold(sneak, gate, name, old, new, message):
    folder = sneak(name, lambda text: text.replace(old, new, 1))
    with pytest.raises(PublishError, match=message):
        gate(folder)


def test_a_script_is_refused_even_if_the_policy_lets_it_run(sneak, gate):
    digest = base64.b64encode(hashlib.sha256(b"x()").digest()).decode()
    folder = sneak(
        "index.html",
        lambda text: text.replace("script-src 'none'", f"script-src 'sha256-{digest}'").replace(
            "</main>", "<script>x()</script></main>"
        ),
    )
    with pytest.raises(PublishError, match="Content-Security-Policy"):
        gate(folder)


def test_the_policy_names_what_the_page_was_given_and_not_what_is_in_it():
    html = '<meta content="@csp@"><script>known</script><script>sneaked</script>'
    sealed = page.seal(html, ["known"], ["style"])
    hashes = [
        base64.b64encode(hashlib.sha256(text).digest()).decode()
        for text in (b"known", b"style", b"sneaked")
    ]
    assert [digest in sealed for digest in hashes] == [True, True, False]


def test_a_script_that_got_into_a_page_neither_runs_nor_is_published(
    make_contents, survey, monkeypatch, tmp_path
):
    sneaked = Markup("<script>sneaked</script>")
    monkeypatch.setattr(text_pages, "overview_svg", lambda *_: sneaked)
    contents = make_contents(survey)
    html = make_pages(contents, languages=("en",))["index.html"].html
    assert sneaked in html
    assert "script-src 'none';" in html
    with pytest.raises(PublishError, match="a script that it was not made with"):
        publish(contents, survey.sites, tmp_path / "public", languages=("en",))


def test_gate_refuses_a_file_too_many_and_one_too_few(sneak, gate):
    folder = sneak("index.html", lambda text: text + "\n")
    (folder / "sites.csv").write_text("x")
    with pytest.raises(PublishError, match=r"the file sites\.csv"):
        gate(folder)
    (folder / "sites.csv").unlink()
    (folder / "method.hi.html").unlink()
    with pytest.raises(PublishError, match=r"method\.hi\.html was not written"):
        gate(folder)


@pytest.mark.parametrize("word", ["Bonded labour belt", "Slave kilns", "مجرم", "পাচার", "तस्करी"])
@pytest.mark.parametrize("field", ["region_name", "imagery", "publisher"])
def test_no_name_that_accuses_is_published(make_contents, survey, tmp_path, field, word):
    contents = make_contents(survey, **{field: f"Survey of {word}"})
    with pytest.raises(PublishError, match="a word that accuses"):
        publish(contents, survey.sites, tmp_path / "public", languages=("en",))
    assert not (tmp_path / "public").exists()


def test_ground_of_a_group_is_its_cells_and_no_others(make_contents, survey, public):
    contents = make_contents(survey)
    partition = contents.partition.copy()
    first, second = (list(partition["cell_ids"][at]) for at in (0, 1))
    partition.at[0, "cell_ids"] = [*first, second[0]]
    changed = dataclasses.replace(contents, partition=partition)
    expected = expectation(changed, survey.sites, make_pages(contents))
    with pytest.raises(PublishError, match=r"map\.html holds other ground for group"):
        check_folder(public, expected)


SITE_CHANGES = {
    "another order": lambda rows: [rows[0], *reversed(rows[1:])],
    "a site less": lambda rows: rows[:-1],
    "a rank": lambda rows: [[*row, str(n) if n else "rank"] for n, row in enumerate(rows)],
    "another place": lambda rows: [rows[0], [*rows[1][:3], "77.00001", *rows[1][4:]], *rows[2:]],
}


@pytest.mark.parametrize("change", SITE_CHANGES)
def test_sites_of_the_partner_tier_are_those_that_may_be_shown(sneak, gates, change):
    def edit(text):
        rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(SITE_CHANGES[change](rows))
        return out.getvalue()

    with pytest.raises(PublishError, match=r"^sites\.csv holds"):
        gates["partner"](sneak("sites.csv", edit, "partner"))


def test_points_of_the_partner_tier_lie_where_their_sites_do(sneak, gates):
    def move(text):
        data = json.loads(text)
        data["features"][3]["geometry"]["coordinates"][0] += 0.001
        return json.dumps(data)

    with pytest.raises(PublishError, match=r"^sites\.geojson holds another place"):
        gates["partner"](sneak("sites.geojson", move, "partner"))


def test_a_site_left_out_is_in_no_file_of_the_partner_tier(make_contents, survey, tmp_path):
    contents = make_contents(survey, "partner")
    points = contents.points.iloc[1:].reset_index(drop=True)
    fewer = dataclasses.replace(contents, points=points)
    folder = tmp_path / "partner"
    publish(fewer, survey.sites, folder, languages=("en",))
    left_out = contents.points["site_id"][0]
    assert not [path for path in folder.iterdir() if left_out.encode() in path.read_bytes()]
    pages = make_pages(contents, languages=("en",))
    (folder / "map.html").write_text(pages["map.html"].html, encoding="utf-8")
    write_hash(folder, "map.html")
    with pytest.raises(PublishError, match=r"^map\.html holds other sites"):
        check_folder(folder, expectation(fewer, survey.sites, pages))
