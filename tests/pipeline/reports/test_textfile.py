import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.reports import jsonfile
from pipeline.reports.jsonfile import is_json, json_records
from pipeline.reports.textfile import LARGEST_FIELD, TextFile, csv_rows
from tiles.errors import ReportError

ASHA = "Asha\u00e9-9812345678"


def write(tmp_path, content, name="x.csv"):
    path = tmp_path / name
    path.write_bytes(content)
    return TextFile(path)


def fields_of(file):
    return [row.fields for row in csv_rows(file)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_encodings_are_told_by_their_mark(tmp_path, encoding):
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    content = f"{mark}name,आशा\r\n{ASHA},২৮\r\n".encode(encoding)
    assert fields_of(write(tmp_path, content)) == [["name", "आशा"], [ASHA, "২৮"]]


def test_cp1252_is_read_where_it_is_declared_and_refused_by_line_where_not(tmp_path):
    content = "name,b\nx,y\nJos\u00e9 \u201cA\u201d,z\n".encode("cp1252")
    file = write(tmp_path, content)
    with pytest.raises(ReportError, match=r"x\.csv, line 3: bytes that are not") as caught:
        fields_of(file)
    assert "Jos" not in str(caught.value)
    declared = TextFile(file.path, "cp1252")
    assert fields_of(declared)[2] == ["Jos\u00e9 \u201cA\u201d", "z"]
    nowhere_in_cp1252 = write(tmp_path, b"name,b\nx\x81,z\n")
    with pytest.raises(ReportError, match="line 2"):
        fields_of(TextFile(nowhere_in_cp1252.path, "cp1252"))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a,b\nx,y\n".encode("utf-16")[:-1], 2),  # cut in the middle of a character
        (b"\xff\xfea\x00,\x00b\x00\n\x00\x00\xd8x\x00", 2),  # half of a surrogate pair
        (b"a,b\n\xe0\xa4,y\n", 2),
    ],
)
def test_broken_text_is_refused_with_its_line(tmp_path, content, line):
    with pytest.raises(ReportError, match=f"line {line}: bytes"):
        fields_of(write(tmp_path, content))


def test_the_delimiter_is_that_of_the_header(tmp_path):
    for between in ",;\t|":
        content = between.join(["a", "b", "c"]) + "\n" + between.join(["1", '"2,;|"', "3"])
        assert fields_of(write(tmp_path, content.encode()))[1] == ["1", "2,;|", "3"]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    content = b'\n\na,b\n\n"x\ny",1\n2,3\n'
    assert [row.line for row in csv_rows(write(tmp_path, content))] == [3, 6, 7]
    with pytest.raises(ReportError, match="line 8: 3 fields where the header has 2"):
        fields_of(write(tmp_path, content + b"1,2,3\n"))


@pytest.mark.parametrize(
    "content", [b'a,b\n1,"2\n', b'a,b\n1,"2"3\n', b"a,b\n1," + b"x" * (LARGEST_FIELD + 1)]
)
def test_what_is_no_csv_row_is_refused_with_its_line(tmp_path, content):
    with pytest.raises(ReportError, match=r"line 2: this is no CSV row"):
        fields_of(write(tmp_path, content))


def test_a_story_of_ten_megabytes_stops_nobody(tmp_path):
    rows = fields_of(write(tmp_path, b"a,b\n1," + b"x" * 10_000_000 + b"\n2,y\n"))
    assert [row[0] for row in rows] == ["a", "1", "2"]


def test_control_characters_of_a_file_name_do_not_reach_the_screen(tmp_path):
    file = write(tmp_path, b"a,b\n1\n", "\x1b[2J\n../x.csv".replace("/", "\u2215"))
    with pytest.raises(ReportError) as caught:
        fields_of(file)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_and_a_missing_file_are_one_sentence(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(ReportError, match="is not there: check the path"):
            fields_of(TextFile(path))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
records = st.lists(st.dictionaries(st.text(max_size=4), values, max_size=4), max_size=6)


@settings(max_examples=60, deadline=None)
@given(found=records, indent=st.sampled_from([None, 1]), chunk=st.sampled_from([1, 7, 1 << 16]))
def test_records_come_as_json_itself_reads_them(tmp_path_factory, found, indent, chunk):
    folder = tmp_path_factory.mktemp("json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonfile, "CHUNK", chunk)
        for name, whole in (("", found), ("results", {"count": 3, "results": found, "next": None})):
            text = json.dumps(whole, indent=indent, ensure_ascii=chunk == 7)
            file = write(folder, text.encode(), "x.json")
            read = list(json_records(file, frozenset({"results"})))
            assert [record.values for record in read] == found
            assert {record.container for record in read} <= {name}
            assert [record.number for record in read] == list(range(1, len(found) + 1))


@pytest.mark.parametrize(
    ("content", "record"),
    [
        (b'{"results": [{"a": 1}, {"a": "Asha', 2),
        (b'[{"a": 1}, {"b": Asha}]', 2),
        (b'[{"a": 1}] Asha', 2),
        (b'[{"a": 1} {"a": "Asha"}]', 2),
        (b'[{"a": 1}, "Asha"]', 2),
        (b"[" * 100_000, 1),
        (b'[{"a": ' + b"9" * 5000 + b"}]", 1),
        (b'{"results": [{"a": 1}]', 2),
    ],
)
def test_broken_json_names_the_record_and_no_value(tmp_path, content, record):
    with pytest.raises(ReportError, match=f"record {record}: ") as caught:
        list(json_records(write(tmp_path, content), frozenset({"results"})))
    error = caught.value
    while error is not None:  # Python's own error carries the whole document
        assert "Asha" not in str(error)
        assert not hasattr(error, "doc")
        error = error.__cause__ or error.__context__


def test_broken_bytes_in_json_are_refused_with_their_line(tmp_path):
    with pytest.raises(ReportError, match="line 3: bytes"):
        list(json_records(write(tmp_path, b'[\n{"a": 1},\n{"a": "\xff"}]'), frozenset()))


def test_a_table_is_no_json(tmp_path):
    assert not is_json(write(tmp_path, b"a,b\n"))
    assert is_json(write(tmp_path, b"\n [1]"))


def test_memory_does_not_grow_with_the_list(tmp_path):
    peaks = []
    for number in (2_000, 20_000):
        text = json.dumps([{"id": i, "story": "x" * 100} for i in range(number)])
        file = write(tmp_path, text.encode())
        tracemalloc.start()
        assert sum(1 for _ in json_records(file, frozenset())) == number
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
