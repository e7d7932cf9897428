import re
import textwrap

import pytest

from pipeline.reports.htcds import HTCDS_INDUSTRIES, INDUSTRIES, SIGNS, CodeBook
from pipeline.reports.source import read_source
from tests.conftest import REPOSITORY
from tiles.errors import ReportError


def source(tmp_path, text):
    path = tmp_path / "source.toml"
    path.write_text(text, encoding="utf-8")
    return read_source(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "name: Field required"),
        ('name = "../etc/passwd"', "name: String should match"),
        ('name = "Asha 9812345670"', "name: String should match"),
        ('name = "a"\nkolumns = 1', "kolumns: Extra inputs"),
        ('name = "a"\ndefault_country = "India"', "default_country: this is no country code"),
        ('name = "a"\nindustry = "bricks"', "industry: this is no HTCDS v2 code"),
        ('name = "a"\n[values.signs]\nx = "y"', "values: 'y' is no HTCDS v2 code"),
        ('name = "a"\n[consent]\nbasis = "Callers are told so and so."', "wording .* and its date"),
        ('name = "a"\n[consent]\ndated = 2026-01-01', "wording .* and its date"),
        ('name = "a"\n[consent]\nbasis = "yes"\ndated = 2026-01-01', "at least 20 characters"),
        (
            'name = "a"\n[consent]\ncolumn = "c"\n'
            'basis = "Callers are told so and so."\ndated = 2026-01-01',
            "not both",
        ),
        ('name = "a"\n[columns]\nreporter = "x"', "columns.reporter"),
        ("name = a", "are no TOML"),
    ],
)
def test_impossible_settings_are_one_sentence(tmp_path, text, what):
    with pytest.raises(ReportError, match=what) as caught:
        source(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_missing_or_huge_settings_file_is_one_sentence(tmp_path):
    with pytest.raises(ReportError, match="cannot be read"):
        read_source(tmp_path / "none.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * 2_000_000)
    with pytest.raises(ReportError, match="too large"):
        read_source(tmp_path / "huge.toml")


def test_the_settings_in_the_guide_are_read(tmp_path):
    guide = (REPOSITORY / "docs" / "reports_guide.md").read_text(encoding="utf-8")
    block = re.search(r"may be left out\):\n\n((?:    .*\n)+)", guide)
    found = source(tmp_path, textwrap.dedent(block[1]))
    assert found.name == "helpline"
    assert found.consent.yes == ("haan",)
    assert found.values.signs == {"peshgi": "DebtBondage"}
    assert found.columns == {"contact": "Mobile"}


def test_a_label_is_brought_to_its_code(tmp_path):
    assert source(tmp_path, 'name = "a"\nindustry = "mining and quarrying"').industry == (
        "B_MiningAndQuarrying"
    )


def test_the_lists_are_those_of_the_standard():
    assert len(INDUSTRIES) == len(HTCDS_INDUSTRIES) == 21
    assert len(SIGNS) == 16
    assert "DebtBondage " in SIGNS  # the official name, with its blank
    assert [code[0] for code in INDUSTRIES] == list("ABCDEFGHIJKLMNOPQRSTU")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("DebtBondage", ["DebtBondage "]),
        ("DebtBondage ", ["DebtBondage "]),
        ("debt bondage", ["DebtBondage "]),
        ("DebtBondage WithholdsDocuments", ["DebtBondage ", "WithholdsDocuments"]),
        ("Threatens children/family, Peshgi", ["DebtBondage ", "ThreatensChildrenFamily"]),
        ("Brick kiln, Peshgi, ", ["DebtBondage "]),
        ("Other|Other\nother", ["Other"]),
        ("=cmd()|'/C calc'!A0 <script>alert(1)</script>", []),
    ],
)
def test_signs_are_codes_and_nothing_else(text, codes):
    assert list(CodeBook(SIGNS, {"peshgi": "DebtBondage"}).codes(text)) == codes


@pytest.mark.real_data
def test_the_lists_are_those_of_the_published_form(shared_data):
    import pandas as pd

    pytest.importorskip("openpyxl")
    form = shared_data / "htcds" / "htcds_xlsform.xlsx"
    choices = pd.read_excel(form, sheet_name="choices", dtype=str, engine="openpyxl")
    for name, codes in (("forcedlabourindustry", INDUSTRIES), ("methodsofcontrol", SIGNS)):
        listed = choices[choices["list_name"] == name]
        assert dict(zip(listed["name"], listed["label"], strict=True)) == dict(codes)
