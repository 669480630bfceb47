import csv
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cka_cli.errors import DataError, UsageError
from cka_cli.report.csv_text import as_text, from_text
from cka_cli.report.json_text import Provenance
from cka_cli.report.reading import read_matrices
from cka_cli.results.matrix import Comparison, FileFacts, LayerFacts, Matrix
from cka_cli.specs import KERNELS, MEASURES
from cka_cli.text import size_text
from cka_cli.version import __version__
from tests.report.written import format_catalogue, format_json, format_table, format_tidy, format_wide

X_NAMES = ("conv,1", 'conv"2"', "new\nline", "[/x]", "größe", " blank ")
Y_NAMES = ("p", "q")
FLOATS = [[0.1, 1 / 3], [float("nan"), 5e-324], [1e300, -0.0], [1.0, 0.0], [2 / 3, 1e-9], [123456.789, 1e16]]


def make_matrix(values=FLOATS, x_layers=X_NAMES, y_layers=Y_NAMES, **facts):
    facts = {"x_file": "a, b.h5", "y_file": "c.npz", "measure": "cka", "kernel": "linear", "n_examples": 9} | facts
    return Matrix(np.array(values), tuple(x_layers), tuple(y_layers), **facts)


def comparison(*matrices):
    return Comparison(matrices or (make_matrix(),))


def same(one, other):
    return (
        one.values.tobytes() == other.values.tobytes()  # NaN and -0.0 too
        and (one.x_layers, one.y_layers) == (other.x_layers, other.y_layers)
        and (one.x_file, one.y_file) == (other.x_file, other.y_file)
        and (one.measure, one.kernel, one.n_examples) == (other.measure, other.kernel, other.n_examples)
    )  # fmt: skip


def to_json(result, command=("cka", "compare"), **options):
    return format_json(result, Provenance(command, options))


@pytest.mark.parametrize("write", [format_tidy, to_json], ids=["csv", "json"])
def test_tidy_and_json_read_back_exactly(write):
    written = (
        make_matrix(),
        make_matrix(measure="hsic", kernel="rbf:sigma=0.4"),
        make_matrix(measure="cca-r2", kernel="", n_examples=None),
        make_matrix([[1.0]], ["only"], ["one"], y_file="d"),
    )
    read = read_matrices(write(comparison(*written)).encode(), "x")
    assert len(read) == len(written)
    assert all(same(one, other) for one, other in zip(written, read, strict=True))


def test_wide_reads_back_exactly():
    matrix = make_matrix(x_layers=[name.strip() for name in X_NAMES])
    (read,) = read_matrices(format_wide(comparison(matrix)).encode(), "x")
    assert read.values.tobytes() == matrix.values.tobytes()
    assert (read.x_layers, read.y_layers) == (matrix.x_layers, matrix.y_layers)


text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=6) | st.text(
    "'=+-@\t\r\n \"1,x", min_size=1, max_size=6
)


@given(
    st.lists(text, min_size=1, max_size=4, unique=True),
    st.lists(text, min_size=1, max_size=4, unique=True),
    st.integers(0, 1 << 30),
    text,
)
def test_any_names_and_values_read_back(x_layers, y_layers, seed, file):
    generator = np.random.default_rng(seed)
    scale = 10.0 ** generator.integers(-300, 300)
    matrix = make_matrix(
        generator.standard_normal((len(x_layers), len(y_layers))) * scale, x_layers, y_layers, x_file=file
    )
    for written in (format_tidy(comparison(matrix)), to_json(comparison(matrix))):
        (read,) = read_matrices(written.encode(), "x")
        assert same(matrix, read)


@given(text)
def test_no_word_begins_like_a_formula_and_each_is_given_back(word):
    assert as_text(word).strip()[:1] not in {*"=+-@"}
    assert as_text(word)[0] not in "\t\r\n"
    assert as_text(word) in (word, "'" + word)
    assert from_text(as_text(word)) == word


@given(st.lists(text.map(str.strip).filter(bool), min_size=1, max_size=4, unique=True))
def test_any_names_read_back_from_wide(names):
    matrix = make_matrix(np.ones((len(names), len(names))), names, names)
    (read,) = read_matrices(format_wide(comparison(matrix)).encode(), "x")
    assert (read.x_layers, read.y_layers) == (tuple(names), tuple(names))


def test_a_spreadsheet_takes_names_for_words_and_numbers_for_numbers():
    names = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "'quoted'", " =1", '=HYPERLINK("x",1)')
    matrix = make_matrix([[-0.5]] * len(names), names, ["=p"], x_file="-a.h5", y_file="b.h5", kernel="")
    written = format_tidy(comparison(matrix))
    lines = list(csv.reader(io.StringIO(written, newline="")))[1:]
    assert [line[1] for line in lines] == ["'" + name if name != "'quoted'" else name for name in names]
    assert [[*line[:1], *line[2:]] for line in lines] == [["'-a.h5", "b.h5", "'=p", "cka", "", "9", "-0.5"]] * len(
        names
    )
    assert read_matrices(written.encode(), "x")[0].x_layers == names
    document = json.loads(to_json(comparison(matrix)))
    assert document["matrices"][0]["x_layers"] == list(names)  # as they are
    foreign = "layer,p\n=r,-1\n"
    assert read_matrices(foreign.encode(), "x")[0].x_layers == ("=r",)


def test_tidy_is_what_the_plan_of_it_says():
    result = comparison(make_matrix([[0.5, float("nan")]], ["r"]), make_matrix([[1.0]], ["r"], ["p"], kernel=""))
    assert format_tidy(result) == (
        "x_file,x_layer,y_file,y_layer,measure,kernel,n_examples,value\n"
        '"a, b.h5",r,c.npz,p,cka,linear,9,0.5\n'
        '"a, b.h5",r,c.npz,q,cka,linear,9,nan\n'
        '"a, b.h5",r,c.npz,p,cka,,9,1.0\n'
    )


def test_wide_holds_one_matrix():
    assert format_wide(comparison(make_matrix([[0.5, 1.0]], ["r"]))) == "layer,p,q\nr,0.5,1.0\n"
    with pytest.raises(UsageError, match=r"^--format wide: holds one matrix \(found 2\)"):
        format_wide(comparison(make_matrix(), make_matrix()))


def test_pandas_reads_tidy_and_wide():
    frame = pd.read_csv(io.StringIO(format_tidy(comparison())))
    assert list(frame.columns)[-1] == "value"
    np.testing.assert_allclose(frame["value"].to_numpy().reshape(6, 2), FLOATS, rtol=1e-15, atol=1e-300)
    assert frame["x_layer"].tolist()[::2] == list(X_NAMES)
    wide = pd.read_csv(io.StringIO(format_wide(comparison())), index_col="layer")
    np.testing.assert_allclose(wide.to_numpy(), FLOATS, rtol=1e-15, atol=1e-300)
    (back,) = read_matrices(wide.to_csv().encode(), "x")
    np.testing.assert_array_equal(back.values, wide.to_numpy())


def strict(report):
    def refuse(word):
        raise AssertionError(word)

    return json.loads(report, parse_constant=refuse)


def test_json_is_strict_and_says_where_it_comes_from():
    facts = FileFacts("a.h5", 2048, "2024-01-02T03:04:05+00:00", (LayerFacts("conv1", (9, 2, 3), "float32", 6),))
    result = Comparison((make_matrix([[0.5, float("nan")]], ["r"]),), (facts,), ("a note",))
    document = strict(to_json(result, ["cka", "compare", "a.h5"], sample=3, layers=["conv*"]))
    assert document["version"] == __version__
    assert document["command"] == ["cka", "compare", "a.h5"]
    assert document["options"] == {"sample": 3, "layers": ["conv*"]}
    assert document["notes"] == ["a note"]
    assert document["files"] == [
        {
            "path": "a.h5", "size_bytes": 2048, "modified": "2024-01-02T03:04:05+00:00",
            "layers": [{"name": "conv1", "shape": [9, 2, 3], "dtype": "float32", "n_features": 6}],
        }
    ]  # fmt: skip
    assert document["matrices"][0]["values"] == [[0.5, None]]


def test_json_has_no_infinity():
    assert strict(to_json(comparison(make_matrix([[float("inf"), 1.0]], ["r"]))))["matrices"][0]["values"] == [
        [None, 1]
    ]


def test_file_names_that_are_no_utf_8_are_escaped():
    result = comparison(make_matrix([[1.0]], ["r"], ["p"], x_file="\udcff.h5"))
    assert format_tidy(result).encode().splitlines()[1].startswith(b"\\udcff.h5,")
    assert read_matrices(to_json(result).encode(), "x")[0].x_file == "\udcff.h5"


@pytest.mark.parametrize(
    "written",
    [
        "name,p,q\nr,1,2\ns,3,nan\n", "\ufeffname,p,q\r\nr,1,2\r\ns,3,\r\n", "name\tp\tq\nr\t1\t2\ns\t3\tNA\n",
        "\n\n,p,q\n r ,1, 2\n\ns,3.0,null\n\n", '"name","p","q"\n"r","1","2"\n"s","3","None"\n',
    ],
)  # fmt: skip
def test_any_labelled_table_of_numbers_is_read(written):
    (matrix,) = read_matrices(written.encode(), "x")
    np.testing.assert_array_equal(matrix.values, [[1, 2], [3, np.nan]])
    assert (matrix.x_layers, matrix.y_layers) == (("r", "s"), ("p", "q"))


def test_tidy_columns_may_stand_in_another_order_beside_others():
    written = "value,measure,x_layer,y_layer,x_file,y_file,p_value\n0.5,cka,r,p,a,b,0.1\n0.25,cka,r,q,a,b,0.1\n"
    (matrix,) = read_matrices(written.encode(), "x")
    assert matrix.values.tolist() == [[0.5, 0.25]]
    assert (matrix.measure, matrix.kernel, matrix.n_examples) == ("cka", "", None)


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_raise_data_error(data):
    try:
        read_matrices(data, "x")
    except DataError as error:
        text = str(error)
    else:
        return
    assert text.startswith("x: ")


@given(st.integers(0, 400), st.lists(st.tuples(st.integers(0, 400), st.sampled_from(b'",\n{}[]:01x\xff')), max_size=3))
@pytest.mark.parametrize("write", [format_tidy, format_wide, to_json], ids=["tidy", "wide", "json"])
def test_no_damaged_report_does_more_than_raise_data_error(write, length, changes):
    data = bytearray(write(comparison()).encode()[:length])
    for place, byte in changes:
        data[place : place + 1] = bytes([byte])
    try:
        read_matrices(bytes(data), "x")
    except DataError as error:
        text = str(error)
    else:
        return
    assert text.startswith("x: ")


def test_table_marks_the_best_of_each_row_and_shows_nan():
    table = format_table(comparison(make_matrix([[0.25, 0.5], [float("nan")] * 2, [1, 1]], ["r", "s", "t"])), width=80)
    lines = [line.split() for line in table.splitlines() if line.strip()]
    assert lines[0][:2] == ["cka,", "linear"]
    assert lines[1:] == [["p", "q"], ["r", "0.250", "0.500*"], ["s", "nan", "nan"], ["t", "1.000*", "1.000"]]
    assert "9 examples" in table
    assert "\x1b" not in table


def test_table_shows_small_and_large_numbers():
    table = format_table(comparison(make_matrix([[1.5e-7, 123456.0]], ["r"], measure="hsic")), width=80)
    assert "1.50e-07" in table
    assert "1.23e+05*" in table


@pytest.mark.parametrize("width", [5, 20, 21, 40, 60, 100])
@pytest.mark.parametrize(
    "name", ["layer{}", "层{}号", "a-rather-long-name-of-a-layer-{}", "很长的层名字在这里写得非常非常长{}号"]
)
def test_columns_that_do_not_fit_follow_below(width, name):
    n_columns = 3 if width < 100 else 6
    names = [name.format(number) for number in range(12)]
    values = 0.1 + np.arange(12 * n_columns).reshape(12, n_columns) / 200
    table = format_table(comparison(make_matrix(values, names, names[:n_columns], x_file="a", y_file="b")), width=width)
    numbers = re.findall(r"\d\.\d{3}\*?", table)
    assert sorted(numbers) == sorted(
        f"{value:.3f}{'*' if (place + 1) % n_columns == 0 else ''}" for place, value in enumerate(values.ravel())
    )
    tables = [line for line in table.splitlines() if re.search(r"\d\.\d{3}", line)]
    assert max(cell_len(line) for line in tables) <= max(width, 20)
    assert all(name.format(number)[-3:] in table for number in range(12))


@pytest.mark.parametrize("width", [50, 80, 120])
@pytest.mark.parametrize(
    "name", ["layer{}", "a-rather-long-name-of-a-layer-{}", "很长的层名字在这里写得非常非常长{}号"]
)
def test_a_matrix_far_wider_than_the_screen_becomes_its_best_matches(width, name):
    names = [name.format(number) for number in range(40)]
    values = np.eye(40) * 0.5 + np.roll(np.eye(40), 1, axis=1) * 0.25 - 0.004
    values[3] = np.nan
    values[4, :39] = np.nan
    matrix = make_matrix(values, names, names, x_file="a", y_file="b")
    lines = format_table(comparison(matrix), width=width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "*" not in "".join(lines)
    text = " ".join(" ".join(lines).split())
    assert "40 x 40 values are too wide for this screen" in text
    assert "--format csv, or as a picture: cka heatmap" in text
    rows = [line.split() for line in lines if re.search(r" (-?0\.\d{3}|nan)( |$)", line)]
    assert len(rows) == 40
    ends = [[re.sub(r".*?(\d+号?)$", r"\1", cell) if "." not in cell else cell for cell in row] for row in rows]
    mark = "号" if "号" in name else ""
    assert ends[0] == [f"0{mark}", f"0{mark}", "0.496", f"1{mark}", "0.246"]
    assert ends[3] == [f"3{mark}", "nan", "nan"]
    assert ends[4] == [f"4{mark}", f"39{mark}", "-0.004", "nan"]
    whole = format_table(comparison(matrix), width=100_000)
    assert len(re.findall(r"-?\d\.\d{3}|nan", whole)) == 1600


def test_a_screen_too_narrow_for_matches_has_the_blocks():
    names = [f"layer{number}" for number in range(20)]
    matrix = make_matrix(np.full((2, 20), 0.5), names[:2], names)
    assert len(re.findall(r"0\.500", format_table(comparison(matrix), width=30))) == 40


@pytest.mark.parametrize(
    ("measure", "value", "shown"),
    [
        ("cka-debiased", -3.83e-03, "-0.004"),
        ("cka-debiased", -1e-5, "0.000"),
        ("cka", 1.0, "1.000"),
        ("cka-debiased", -2e5, "-2.00e+05"),
        ("hsic-unbiased", -3.83e-03, "-3.83e-03"),
        ("hsic", 0.0, "0.000"),
    ],
)
def test_numbers_of_a_bounded_measure_have_three_decimals(measure, value, shown):
    table = format_table(comparison(make_matrix([[value]], ["r"], ["p"], measure=measure)), width=80)
    assert table.splitlines()[-2].split() == ["r", f"{shown}*"]


def test_the_measures_with_bounds():
    bounded = {name: make_matrix(measure=name).is_bounded for name in [*MEASURES, "", "cka-of-others"]}
    others = {"hsic", "hsic-unbiased", "", "cka-of-others"}
    assert {name for name, is_bounded in bounded.items() if not is_bounded} == others
    assert make_matrix(measure="svcca-r2:variance=0.9").is_bounded


def test_a_long_name_keeps_its_end():
    table = format_table(comparison(make_matrix([[1.0]], ["x" * 40 + ".conv1"], ["p"])), width=80)
    assert "x.conv1" in table
    assert "x" * 28 not in table


def test_colours_only_when_asked_for():
    coloured = format_table(comparison(make_matrix([[0.0, 1.0]], ["r"])), width=80, colour=True)
    backgrounds = re.findall(r"48;2;\d+;\d+;\d+", coloured)
    assert len(set(backgrounds)) == 2
    assert "\x1b" not in format_table(comparison(), width=80)


def test_colours_span_zero_to_one_or_the_values_and_skip_what_is_no_number():
    def backgrounds(values, measure):
        table = format_table(comparison(make_matrix(values, ["r"], measure=measure)), width=80, colour=True)
        return re.findall(r"48;2;\d+;\d+;\d+", table)

    assert backgrounds([[0.95, 1.0]], "cka") == ["48;2;254;194;135"] * 2
    assert backgrounds([[0.9, 1.0]], "hsic") == ["48;2;0;0;4", "48;2;254;194;135"]
    assert backgrounds([[0.9, float("nan")]], "hsic") == ["48;2;254;194;135"]
    assert backgrounds([[float("nan")] * 2], "cka") == []


def test_names_with_markup_or_control_characters_are_shown_as_they_are():
    matrix = make_matrix([[1.0]], ["[/x][red]r"], ["\x1b[31mp\a\n"], x_file="[/bold]\x07.h5")
    table = format_table(comparison(matrix), width=100)
    assert "[/x][red]r" in table
    assert r"\x1b[31mp\x07\n" in table
    assert r"[/bold]\x07.h5" in table
    assert "\x1b" not in table
    assert "\a" not in table


@pytest.mark.parametrize(
    "unseen", ["\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\u2028", "\x9b", "\ufe0f", "\u3164"]
)
def test_names_with_letters_that_are_not_seen_or_turn_the_line_are_escaped(unseen):
    escape = unseen.encode("unicode_escape").decode()
    matrix = make_matrix([[1.0]], [f"conv{unseen}1"], [unseen], x_file=f"{unseen}.h5")
    table = format_table(comparison(matrix), width=100)
    assert unseen not in table
    assert table.count(escape) == 3


def test_a_name_of_thousands_of_letters_takes_no_time():
    table = format_table(comparison(make_matrix([[1.0]], ["x" * 200_000 + "conv1"], ["层" * 200_000])), width=80)
    assert max(map(cell_len, table.splitlines())) <= 80
    assert "xconv1" in table


@pytest.mark.parametrize(
    ("n_bytes", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB"), (5 << 50, "5120.0 TiB")],
)  # fmt: skip
def test_bytes_for_a_person(n_bytes, shown):
    assert size_text(n_bytes) == shown


def test_catalogue_holds_every_measure_and_kernel_in_each_format():
    entries = json.loads(format_catalogue("json"))
    assert [entry["name"] for entry in entries] == [*MEASURES, *KERNELS]
    assert all(entry["formula"] for entry in entries)
    frame = pd.read_csv(io.StringIO(format_catalogue("csv")), keep_default_na=False)
    assert frame.to_dict("records") == entries
    table = format_catalogue("table")
    assert all(f"{entry['name']}  ({entry['kind']})\n" in table for entry in entries)
