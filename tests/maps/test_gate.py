import base64
import hashlib
import json
import re

import pytest
import shapely
from markupsafe import Markup

from maps import page
from maps.gate import check_public
from maps.publish import MANIFEST, PAGES, PUBLIC_COLUMNS, TABLES, make_pages, publish
from tiles.errors import PublishError
from tiles.region import read_region


@pytest.fixture(scope="module")
def made(survey):
    return make_pages(survey.groups, survey.cells, survey.facts)


@pytest.fixture
def gate(survey, made):
    def check(folder):
        files, columns = {*PAGES, *TABLES, MANIFEST}, set(PUBLIC_COLUMNS)
        check_public(folder, files, columns, survey.sites, made)

    return check


@pytest.fixture
def sneak(public, tmp_path):
    """Copies the public folder with one file changed; the change must change it."""

    def copy(name, change):
        folder = tmp_path / "public"
        folder.mkdir(exist_ok=True)
        for path in public.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        before = (folder / name).read_text(encoding="utf-8")
        after = change(before)
        assert after != before
        (folder / name).write_text(after, encoding="utf-8")
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


@pytest.mark.parametrize("name", [*PAGES, *TABLES, MANIFEST])
def test_gate_finds_a_site_id_anywhere(sneak, gate, survey, name):
    site_id = survey.sites["site_id"].iloc[0]
    folder = sneak(
        name,
        lambda text: text.replace("rest", site_id, 1) if "rest" in text else f"{text} {site_id}",
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
@pytest.mark.parametrize("name", [*PAGES, *TABLES, MANIFEST])
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
        data = json.loads(text)
        data["disclaimer"] += f" {where}"
        return json.dumps(data)

    with pytest.raises(PublishError, match=f"^{name} holds .* fine enough to place a site"):
        gate(sneak(name, hide))


@pytest.mark.parametrize("field", ["region_name", "imagery", "cautions", "trained_on", "licence"])
def test_a_position_in_any_text_of_the_user_is_not_published(survey, tmp_path, field):
    site = survey.sites.iloc[0]
    text = f"Kilns at {site['lat']:.2f}, {site['lon']:.2f}"
    facts = survey.facts
    if field in ("trained_on", "licence"):
        change = {"weights": facts.weights.model_copy(update={field: text})}
    else:
        change = {field: (text,) if field == "cautions" else text}
    with pytest.raises(PublishError, match="fine enough"):
        publish(
            survey.groups,
            survey.cells,
            survey.sites,
            facts.model_copy(update=change),
            tmp_path / "public",
        )
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
        ("groups.csv", "rest,", "rest,1,", "a row of 18 cells"),
        ("manifest.json", '"region"', '"place"', "property 'place'"),
        ("index.html", 'href="map.html"', 'href="https://example.org"', "points to"),
        ("index.html", "</main>", "<img src='chip.png'></main>", "the tag <img>"),
        ("index.html", "</main>", "<marquee>x</marquee></main>", "the tag <marquee>"),
        ("index.html", "</main>", "<!-- here --></main>", "a comment"),
        ("index.html", "<main>", "<main onclick='x()'>", "the attribute onclick"),
        ("index.html", "<main>", "<main style='color:red'>", "the attribute style"),
        ("index.html", "</style>", "@import 'x.css';</style>", "a style that it was not made"),
        ("index.html", "</main>", "<style>p{color:red}</style></main>", "a style that it was not"),
        ("index.html", "</main>", "<script>x()</script></main>", "a script that it was not made"),
        ("index.html", "</main>", "<script src='map.html'></script></main>", "a script with"),
        ("index.html", "</main>", "<style media='print'>p{}</style></main>", "a style with"),
        ("index.html", "<title>", f"{REFRESH}<title>", "<meta>"),
        ("index.html", "</main>", f"{REFRESH}</main>", "<meta>"),
        ("index.html", "no-referrer", "unsafe-url", "<meta>"),
        ("index.html", 'rel="icon"', 'rel="stylesheet"', "<link>"),
        ("map.html", "default-src 'none'", "default-src *", "Content-Security-Policy"),
        ("map.html", "script-src 'sha256-", "script-src 'unsafe-inline' 'sha256-", "Policy"),
        ("map.html", "; base-uri 'none'", "", "Content-Security-Policy"),
        ("map.html", "<script>", "<script>/**/", "a script that it was not made"),
        ("map.html", 'id="region"', 'id="sites"', "data block 'sites'"),
        ("map.html", '"properties":{}', '"properties":{"at":1}', "property 'at'"),
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


def test_a_script_that_got_into_a_page_neither_runs_nor_is_published(survey, monkeypatch, tmp_path):
    monkeypatch.setattr(page, "overview_svg", lambda *_: Markup("<script>sneaked</script>"))
    html = make_pages(survey.groups, survey.cells, survey.facts)["index.html"].html
    assert "<script>sneaked</script>" in html
    assert "script-src 'none';" in html
    with pytest.raises(PublishError, match="a script that it was not made with"):
        publish(survey.groups, survey.cells, survey.sites, survey.facts, tmp_path / "public")


def test_gate_refuses_a_file_too_many(sneak, gate):
    folder = sneak("index.html", lambda text: text + "\n")
    (folder / "sites.csv").write_text("x")
    with pytest.raises(PublishError, match=r"the file sites\.csv"):
        gate(folder)


def test_outline_on_the_map_is_whole_cells_and_checked(public, sneak, gate, survey, tmp_path):
    html = (public / "map.html").read_text(encoding="utf-8")
    block = re.search(r'id="region">(.*?)</script>', html, re.DOTALL).group(1)
    (tmp_path / "outline.geojson").write_text(block, encoding="utf-8")
    outline = read_region(tmp_path / "outline.geojson").polygon
    assert outline.buffer(1e-4).contains(survey.region.polygon)
    assert outline.symmetric_difference(shapely.union_all(survey.groups.geometry)).area < 1e-4
    small = page.geometry_json(point(survey).buffer(0.001))
    feature = page.script_json({"type": "Feature", "geometry": small, "properties": {}})
    folder = sneak("map.html", lambda text: text.replace(block, feature))
    with pytest.raises(PublishError, match="off the grid"):
        gate(folder)
