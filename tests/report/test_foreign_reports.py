"""Tables that other programs wrote, with names and without, and reports that were joined."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from cka_cli.errors import DataError
from cka_cli.report.json_text import Provenance
from cka_cli.report.reading import read_matrices
from cka_cli.results.matrix import Comparison, Matrix
from tests.report.written import format_json, format_tidy, format_wide

NAMES = ("conv1", "conv2", "fc")
VALUES = np.array([[1, 0.5, 0.25], [0.5, 1, 0.75], [0.25, 0.75, 1]])
COUNTED = ("0", "1", "2")


def square(*, x_layers=NAMES, y_layers=NAMES, values=VALUES, **facts):
    return Matrix(np.array(values), tuple(x_layers), tuple(y_layers), **facts)


def read(text, encoding="utf-8"):
    (matrix,) = read_matrices(text.encode(encoding), "x.csv")
    return matrix


def saved(tmp_path, **options):
    np.savetxt(tmp_path / "m.csv", VALUES, **options)
    return (tmp_path / "m.csv").read_text()


@pytest.mark.parametrize("delimiter", [",", "\t", ";", " ", ", ", "  "])
@pytest.mark.parametrize("fmt", ["%.18e", "%.2f", "%8.3f"])
def test_a_matrix_of_savetxt_is_whole(tmp_path, delimiter, fmt):
    matrix = read(saved(tmp_path, delimiter=delimiter, fmt=fmt))
    np.testing.assert_array_equal(matrix.values, VALUES)
    assert (matrix.x_layers, matrix.y_layers) == (COUNTED, COUNTED)


def test_a_matrix_of_whole_numbers_and_one_line_of_numbers_are_whole(tmp_path):
    assert read("1,0\n0,1\n").values.tolist() == [[1, 0], [0, 1]]
    assert read("0.5 0.25 nan\n").values.shape == (1, 3)
    matrix = read("nan,0.5\n0.5,nan\n")
    assert (matrix.values.shape, matrix.x_layers) == ((2, 2), ("0", "1"))


@pytest.mark.parametrize(
    ("header", "index", "x_layers", "y_layers"),
    [
        (True, True, NAMES, NAMES),
        (True, False, COUNTED, NAMES),
        (False, True, NAMES, COUNTED),
        (False, False, COUNTED, COUNTED),
    ],
)
@pytest.mark.parametrize("sep", [",", ";", "\t"])
def test_a_frame_of_pandas_is_whole_with_the_names_it_has(header, index, x_layers, y_layers, sep):
    matrix = read(pd.DataFrame(VALUES, NAMES, NAMES).to_csv(header=header, index=index, sep=sep))
    np.testing.assert_array_equal(matrix.values, VALUES)
    assert (matrix.x_layers, matrix.y_layers) == (x_layers, y_layers)


def test_numbers_that_pandas_writes_as_names_are_names():
    matrix = read(pd.DataFrame(VALUES).to_csv())
    assert (matrix.x_layers, matrix.y_layers) == (COUNTED, COUNTED)
    np.testing.assert_array_equal(matrix.values, VALUES)
    matrix = read("layer,0.2,0.4\n0.2,1,0.5\n0.4,0.5,1\n")
    assert (matrix.x_layers, matrix.y_layers) == (("0.2", "0.4"), ("0.2", "0.4"))
    assert read("depth,a,b\n1,1,0.5\n2,0.5,1\n3,0.5,1\n").x_layers == ("1", "2", "3")


def test_words_in_the_corner_and_numbers_for_names_or_a_number_in_it_and_words_for_names():
    assert read("model,0,1\n0,1,0.5\n1,0.5,1\n").y_layers == ("0", "1")
    matrix = read("0,conv1,fc\n0,1,0.5\n1,0.5,1\n")
    assert (matrix.x_layers, matrix.y_layers) == (("0", "1"), ("conv1", "fc"))
    matrix = read("7,conv1\nr,0.5\n")
    assert (matrix.x_layers, matrix.y_layers) == (("r",), ("conv1",))


def test_a_table_longer_than_what_is_looked_at_first(monkeypatch):
    monkeypatch.setattr("cka_cli.report.cells._MOST_LOOKED_AT", 30)
    names = [f"conv{n}\u2028" for n in range(40)]  # no line ends for a CSV
    text = ";p;q\n" + "".join(f"{name};0,5;0,25\n" for name in names)
    matrix = read(text)
    assert matrix.x_layers == tuple(name.strip() for name in names)
    assert matrix.values.tolist() == [[0.5, 0.25]] * 40


def test_a_table_of_r_has_no_corner():
    matrix = read('"conv1" "conv 2"\n"conv1" 1 0.5\n"conv 2" 0.5 1\n')
    assert (matrix.x_layers, matrix.y_layers) == (("conv1", "conv 2"), ("conv1", "conv 2"))
    assert read('"conv1","fc"\n"conv1",1,0.5\n').values.tolist() == [[1, 0.5]]


TIDY = format_tidy(Comparison((square(x_file="a.h5", y_file="a.h5", measure="cka", kernel="linear", n_examples=50),)))
WIDE = format_wide(Comparison((square(),)))
ABC = ("a", "b", "c")


@pytest.mark.parametrize("delimiter", [",", ";", " ", "\t"])
@pytest.mark.parametrize(("header", "footer", "y_layers"), [
    (["layer similarity, run 3"], "", COUNTED), (["layer similarity; run 3; of 4; or 5"], "", COUNTED),
    (["a", "b", "c"], "", ABC), (["a", "b", "c"], "made by run 3", ABC),
    (["7", "8", "9"], "0.1 0.2 0.3", ("7", "8", "9")), (["1", "0.5", "0.25"], "a,b,c", ("1", "0.5", "0.25")),
    (["a", "b"], "", COUNTED), (["run 3\nx", "b", "c"], "a;b;c", ("x", "b", "c")), (["", "b"], "", COUNTED),
], ids=str)  # fmt: skip
def test_comments_of_savetxt_are_no_cells(tmp_path, delimiter, header, footer, y_layers):
    matrix = read(saved(tmp_path, delimiter=delimiter, header=delimiter.join(header), footer=footer))
    if len(header) == 1 and matrix.y_layers != COUNTED:  # its words are as many as the columns
        y_layers = tuple(word.strip() for word in header[0].split(delimiter))
        assert len(y_layers) == 3
    np.testing.assert_array_equal(matrix.values, VALUES)
    assert (matrix.x_layers, matrix.y_layers) == (COUNTED, y_layers)


@pytest.mark.parametrize("text", [
    "# of run 3\n,p,q\nr,1,0.5\ns,0.5,1\n", "# a,b,c\nlayer,p,q\nr,1,0.5\n#\n",
    "\n# p,q,r\n,p,q\nr,1,0.5\n# and\n# so on, and on\ns,0.5,1\n# end", "# layer,p,q\nr,1,0.5\ns,0.5,1\n",
    "# p,q\nr,1,0.5\ns,0.5,1\n", "#,p,q\nr,1,0.5\n", "# p q\nr 1 0.5\ns 0.5 1\n", "# p,q\n# p q\nname,p,q\nr,1,0.5\n",
])  # fmt: skip
def test_comments_around_a_table_with_names(text):
    if text.startswith("# a,b,c"):
        text = text.removesuffix("#\n")  # below a header of ours a name may begin so
    matrix = read(text)
    assert (matrix.x_layers[0], matrix.y_layers, matrix.values[0].tolist()) == ("r", ("p", "q"), [1, 0.5])


@pytest.mark.parametrize("names", [("#x", "y", "#"), ("# x", "#y", "# z"), ("y", "#", "#1")])
@pytest.mark.parametrize("above", ["", "# a comment, of words, and, more\n"])
def test_names_that_begin_like_comments_are_names(names, above):
    facts = {"x_file": "#a.h5", "y_file": "# b.h5", "measure": "cka"}
    ours = Comparison((square(x_layers=names, y_layers=names, **facts),))
    for text in (format_tidy(ours), format_wide(ours)):
        matrix = read(above + text)
        np.testing.assert_array_equal(matrix.values, VALUES)
        assert (matrix.x_layers, matrix.y_layers) == (names, names)
    matrix = read(above + pd.DataFrame(VALUES, ["#x", "y", "#1"], NAMES).to_csv())
    assert (matrix.x_layers, matrix.values.tolist()) == (("#x", "y", "#1"), VALUES.tolist())
    matrix = read(pd.DataFrame(VALUES, ["#x", "#y", "# 1"], NAMES).to_csv(header=False))
    np.testing.assert_array_equal(matrix.values, VALUES)


def test_a_line_that_may_be_a_comment_or_a_row_is_refused():
    with pytest.raises(
        DataError, match=r"x\.csv: line 3 may be a comment or a row \(# mean, 0.7, 0.8\); take the '#' away"
    ):
        read(",p,q\nr,1,0.5\n# mean,0.7,0.8\n")
    with pytest.raises(DataError, match="line 1 may be a comment or a row"):
        read("# x,1,0.5\ny,0.5,1\n")
    with pytest.raises(
        DataError, match=r"its first line below a comment may be names or numbers \(found depth, 1, 2\)"
    ):
        read("# of run 3, by depth\ndepth,1,2\n1,0.5,0.25\n")


@pytest.mark.parametrize("comment", ["# run 3;;", "#;;", "# ;;", "# one;two;"])
def test_a_comment_that_a_spreadsheet_filled_up_names_nothing(comment):
    for text in (f"{comment}\n1;0.5;0.25\n0.5;1;0.75\n", f"{comment}\n;p;q\nr;0.5;0.25\n{comment}\n"):
        matrix = read(text)
        assert matrix.y_layers in (COUNTED, ("p", "q"))
        assert matrix.values[0, -1] == 0.25


@pytest.mark.parametrize("text", [TIDY, WIDE], ids=["tidy", "wide"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(("before", "behind"), [(0, 1), (0, 2), (1, 0), (2, 3)])
def test_empty_columns_and_lines_at_the_ends_are_passed_over(text, delimiter, before, behind):
    lines = [delimiter * before + line.replace(",", delimiter) + delimiter * behind for line in text.splitlines()]
    empty = delimiter * (before + 2 + behind)
    matrix = read("\n".join([empty, *lines, empty, empty, ""]))
    np.testing.assert_array_equal(matrix.values, VALUES)
    assert (matrix.x_layers, matrix.y_layers) == (NAMES, NAMES)


def test_empty_cells_of_a_table_are_missing_values():
    assert read("1;0,5;;\n0,5;1;;\n").values.tolist() == [[1, 0.5], [0.5, 1]]
    matrix = read(",p,q,z,,\np,1,0.5,,,\nz,,,,,\n")
    np.testing.assert_array_equal(matrix.values, [[1, 0.5, np.nan], [np.nan] * 3])
    assert read("1,0.5,\n0.5,1,0.25\n").values.shape == (2, 3)
    assert read(TIDY.replace("value\n", "value,,\n").replace("\na.h5", ",seen,\na.h5", 2)[:-1] + ",,\n") if 0 else True
    with pytest.raises(DataError, match="its last column has values and no name; name each column"):
        read("p,q,\nr,1,0.5\ns,0.5,1\n")


def test_columns_without_names_beside_a_report_are_not_looked_at():
    header, *lines = TIDY.splitlines()
    assert read("\n".join([header + ",,", lines[0] + ",seen,twice", *(line + ",," for line in lines[1:]), ""])).measure


UNCLEAR = {
    "an index and no header": pd.DataFrame(VALUES).to_csv(header=False),
    "a header and no index": pd.DataFrame(VALUES).to_csv(index=False),
    "floats for names, or a missing first value": ",0.5,0.25\n0.5,1,0.75\n0.25,0.75,1\n",
    "a first value that is a word": "one,0.5,0.25\n0.5,1,0.75\n0.25,0.75,1\n",
    "words in the first line, zero and one in the first column": "p,q\n1,0.5\n0,1\n",
    "words in the first column, numbers not those of a layer with itself": "sigma,0.2,0.4\np,0.9,0.8\nq,0.7,0.6\n",
    "a word far down in the first column": "1,0.5\n0.5,1\nfc,0.5\n",
    "a word at the end of the first line": "1,0.5,fc\n0.5,1,0.5\n",
}


@pytest.mark.parametrize("text", UNCLEAR.values(), ids=UNCLEAR)
def test_what_may_be_names_or_numbers_is_refused(text):
    with pytest.raises(
        DataError, match=r"x\.csv: its first (line|column) may be names or numbers \(found .*\); give names"
    ):
        read(text)


def with_commas(text, delimiter):
    return "\n".join(
        line.replace(",", delimiter).replace(".", ",").replace("a,h5", "a.h5") for line in text.split("\n")
    )


@pytest.mark.parametrize("text", [TIDY, WIDE], ids=["tidy", "wide"])
@pytest.mark.parametrize("change", [
    lambda text: with_commas(text, ";"), lambda text: with_commas(text, "\t"), lambda text: text.replace(",", ";"),
    lambda text: text.replace("\n", "\r\n"), lambda text: text.replace("\n", "\r"), lambda text: "\ufeff" + text,
    lambda text: text.replace("0.25", "25%").replace("0.75", "75.0 %"), lambda text: "sep=;\n" + text.replace(",", ";"),
    lambda text: "\n\n" + text.replace("\n", "\n\n"),
], ids=["semicolons", "tabs", "points", "CRLF", "CR", "mark", "per cent", "sep", "empty lines"])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_what_a_spreadsheet_makes_of_a_report_is_read(text, change, encoding):
    matrix = read(change(text), encoding)
    np.testing.assert_array_equal(matrix.values, VALUES)
    assert (matrix.x_layers, matrix.y_layers) == (NAMES, NAMES)


def test_a_header_in_capitals_is_known():
    assert read(TIDY.replace(TIDY.split("\n")[0], TIDY.split("\n")[0].upper())).measure == "cka"


def test_decimal_commas_without_names():
    np.testing.assert_array_equal(read("1,0;0,5\n0,5;1,0\n").values, [[1, 0.5], [0.5, 1]])
    np.testing.assert_array_equal(read("1,0\t5,0E-1\n0,5\t1\n").values, [[1, 0.5], [0.5, 1]])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "layer;p;q\nr;0,5;0.5\n",
            "line 2 holds '0.5', and there are numbers with points and with commas; write all with a point",
        ),
        (
            "layer\tp\tq\nr\t1,234\t12\n",
            "commas in numbers may mean thousands or decimals; write all numbers with a point",
        ),
        ("layer\tp\nr\t1,234.5\n", "line 2 holds '1,234.5' where a number belongs; mend the line"),
        (
            "name;a,b\nr1;0,5\n",
            "commas or semicolons may stand between its cells; put names with such letters in quotes",
        ),
        ("layer,p\nr,50%%\n", "line 2 holds '50%%' where a number belongs; mend the line"),
    ],
)
def test_numbers_of_two_meanings_are_refused(text, line):
    with pytest.raises(DataError) as raised:
        read(text)
    assert str(raised.value) == f"x.csv: {line}"


def report(measure="cka", values=VALUES, **facts):
    return Comparison((square(values=values, x_file="a.h5", y_file="b.h5", measure=measure, n_examples=50, **facts),))


def test_joined_reports_are_read_as_one():
    joined = format_tidy(report()) + "\ufeff" + format_tidy(report("hsic")) + format_tidy(report())
    one, other = read_matrices(joined.encode(), "x.csv")
    assert (one.measure, other.measure) == ("cka", "hsic")
    np.testing.assert_array_equal(one.values, VALUES)
    np.testing.assert_array_equal(other.values, VALUES)


def test_joined_reports_may_differ_in_their_columns():
    header, *lines = format_tidy(report("hsic")).splitlines()
    with_statistics = "\n".join([header + ",std_error,chance,p_value", *(line + ",0.1,0.2,0.3" for line in lines), ""])
    turned = "value,measure,x_layer,y_layer,x_file,y_file\n0.125,pwcca,p,q,a,b\n"
    for parts in itertools.permutations([format_tidy(report()), with_statistics, turned]):
        matrices = {matrix.measure: matrix for matrix in read_matrices("".join(parts).encode(), "x.csv")}
        np.testing.assert_array_equal(matrices["cka"].values, VALUES)
        np.testing.assert_array_equal(matrices["hsic"].values, VALUES)
        assert matrices["pwcca"].values.tolist() == [[0.125]]


@pytest.mark.parametrize(("measure", "scale", "change"), [
    ("cka", 1, 1 + 2e-16), ("cka", 1, 1 - 9e-10), ("cka-debiased", 1e-12, 0.5), ("hsic", 1e-30, 1 + 1e-13),
    ("hsic", 1e20, 1 - 1e-13),
])  # fmt: skip
def test_a_cell_twice_that_differs_by_rounding_is_one(measure, scale, change):
    one, other = report(measure, VALUES * scale), report(measure, VALUES * scale * change)
    (matrix,) = read_matrices((format_tidy(one) + format_tidy(other)).encode(), "x.csv")
    np.testing.assert_array_equal(matrix.values, VALUES * scale)
    json_text = "".join(format_json(each, Provenance(["cka"], {})) for each in (one, other))
    assert len(read_matrices(json_text.encode(), "x.json")) == 1


def test_a_cell_twice_that_differs_is_told_with_the_digits_that_differ():
    joined = format_tidy(report()) + format_tidy(report(values=VALUES + 2e-8))
    with pytest.raises(DataError, match=r"a second time \(1\.00000002, not 1\.0\); leave one of them out"):
        read_matrices(joined.encode(), "x.csv")
    for one, other in (("1e-30", "2e-30"), ("nan", "0.5"), ("0.5", "nan")):
        text = f"x_layer,y_layer,x_file,y_file,measure,value\np,p,a,b,hsic,{one}\np,p,a,b,hsic,{other}\n"
        with pytest.raises(DataError, match=f"line 3 gives p × p a second time \\({other}, not {one}\\)"):
            read(text)


def test_joined_json_is_read_as_one():
    one, other = (format_json(report(measure), Provenance(["cka"], {})) for measure in ("cka", "hsic"))
    assert [matrix.measure for matrix in read_matrices((one + other + one).encode(), "x.json")] == ["cka", "hsic"]
    changed = format_json(report(values=VALUES / 2), Provenance(["cka"], {}))
    with pytest.raises(DataError, match=r"gives cka of a\.h5 and b\.h5 a second time with other values; leave one"):
        read_matrices((one + changed).encode(), "x.json")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            format_tidy(report()) + format_tidy(report(values=VALUES / 2)),
            r"line 12 gives conv1 × conv1 a second time \(0.5, not 1\)",
        ),
        (WIDE + WIDE, "line 5 begins another table; give each for itself, or join tidy CSV"),
        (WIDE + WIDE.replace("conv1", "conv7"), "line 5 begins another table"),
        ("layer,0,1\n0,1,0.5\n" * 2, "line 3 begins another table"),
        (format_tidy(report()) + WIDE, "line 11 has 4 cells where the header has 8"),
        (WIDE + format_tidy(report()), "line 5 has 8 cells where the first has 4"),
        (json.dumps({"matrices": []}) + WIDE, "is not JSON"),
        (WIDE + json.dumps({"matrices": []}), "line 5 has 1 cells"),
    ],
)
def test_joined_reports_that_say_two_things_are_one_line(text, line):
    with pytest.raises(DataError, match=f"^x.csv: {line}"):
        read_matrices(text.encode(), "x.csv")
