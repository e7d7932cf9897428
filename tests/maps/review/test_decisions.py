import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maps.review.decisions import (
    decode,
    latest,
    merge_decisions,
    parse_decisions,
    read_decisions,
    write_decisions,
)
from tiles.errors import TableError

TEXT = (
    "site_id,lon,lat,decision,reviewer,decided_at,seconds,note\n"
    "KL-1,77.123456,28.5,confirmed,Ásha,2026-01-02T10:00:00Z,4.5,größer\n"
    "KL-2,77.2,28.6,no,Ásha,2026-01-02T10:00:09Z,,\n"
)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_whatever_program_saved_it_the_same_decisions_are_read(tmp_path, encoding, newline):
    path = tmp_path / "d.csv"
    path.write_bytes(TEXT.replace("\n", newline).encode(encoding))
    read = read_decisions(path)
    assert list(read["decision"]) == ["confirmed", "rejected"]
    assert list(read["reviewer"]) == ["Ásha", "Ásha"]
    assert list(read["note"]) == ["größer", ""]
    assert read["lon"].tolist() == [77.123456, 77.2]
    assert read["seconds"].iloc[0] == 4.5
    assert np.isnan(read["seconds"].iloc[1])


def test_excel_with_semicolons_and_decimal_commas_is_read(tmp_path):
    path = tmp_path / "d.csv"
    text = "sep=;\r\nLat;Lon;Decision;Reviewer;Site ID\r\n28,5;77,25;Yes;=Asha;KL-1\r\n"
    path.write_bytes(text.encode("utf-8-sig"))
    read = read_decisions(path)
    row = read.iloc[0]
    assert (row["lat"], row["lon"], row["decision"], row["site_id"]) == (
        28.5,
        77.25,
        "confirmed",
        "KL-1",
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("77.2,28.6,no", "77.2,28.6,perhaps"), "line 3, column decision: 'perhaps' is none of"),
        (("77.2,28.6,no", "277.2,28.6,no"), "line 3, column lon: '277.2'"),
        (("77.2,28.6,no", "77.2,,no"), "line 3: the column lat is empty"),
        (("reviewer", "who"), "lacks the column reviewer"),
        (("77.2,28.6,no", "77.2,28.6,counted"), "line 3: counted, and the column count is empty"),
    ],
)
def test_what_cannot_be_a_decision_is_one_sentence_with_its_line(tmp_path, change, words):
    path = tmp_path / "d.csv"
    path.write_text(TEXT.replace(*change), encoding="utf-8")
    with pytest.raises(TableError, match=r"d\.csv") as error:
        read_decisions(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(TableError, match="cannot be read"):
        read_decisions(tmp_path / "none.csv")


WORDS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"), blacklist_characters="'"),
    max_size=12,
)


@settings(deadline=None)  # files: a busy disk is no error
@given(note=WORDS, reviewer=WORDS.filter(str.strip))
def test_what_is_written_reads_back_the_same(tmp_path_factory, note, reviewer):
    frame = parse_decisions("lon,lat,decision,reviewer\n77.5,-28.25,unsure,A\n", "x")
    frame["note"], frame["reviewer"] = (
        pd.Series([text.strip()], dtype=object) for text in (note, reviewer)
    )
    path = tmp_path_factory.mktemp("d") / "d.csv"
    write_decisions(frame, path)
    pd.testing.assert_frame_equal(read_decisions(path), frame)


def test_merging_is_idempotent_and_loses_nothing():
    first = parse_decisions(TEXT, "a")
    second = parse_decisions(TEXT.replace(",no,", ",yes,"), "b")
    merged = merge_decisions([first, second, first])
    assert len(merged) == 3
    assert len(merge_decisions([merged, second, first])) == 3
    assert merge_decisions([]).empty


def test_the_latest_counts_by_its_time_and_without_one_by_its_row():
    rows = (
        "site_id,lon,lat,decision,reviewer,decided_at\n"
        "KL-1,77,28,yes,A,2026-01-02T12:00:00+02:00\n"
        "KL-1,77,28,no,A,2026-01-02T09:30:00Z\n"
        "KL-2,77,28,yes,A,22.11.2026 06:05\n"
        "KL-2,77,28,no,A,\n"
    )
    last = latest(parse_decisions(rows, "x"), ["site_id", "reviewer"])
    assert dict(zip(last["site_id"], last["decision"], strict=True)) == {
        "KL-1": "confirmed",
        "KL-2": "rejected",
    }


def test_bytes_of_no_encoding_at_all_are_still_read():
    assert decode(b"\x81\x8d\xff") == "\x81\x8d\xff"
