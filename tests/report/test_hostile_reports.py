"""Reports that somebody spoilt on purpose, or a pipe by chance: one line, or the numbers that stand there."""

import json
import re

import numpy as np
import pytest

from cka_cli.errors import DataError
from cka_cli.report.reading import read_matrices

# ruff: noqa: E501 - a line of a table is a report and the line that a user sees

HEADER = "x_file,x_layer,y_file,y_layer,measure,kernel,n_examples,value\n"


def report(**changes):
    matrix = {"values": [[1, 0.5]], "x_layers": ["p"], "y_layers": ["q", "r"], "n_examples": 9, **changes}
    return json.dumps({"matrices": [matrix]})


WRONG = {
    "a quote that never ends": ('layer,p\n"r,1\n' + "x,1\n" * 9, "line 11 is not CSV"),
    "a cell of a million characters": (f"layer,p\nr,{'9' * 10**6}\n", "line 2 is not CSV"),
    "a zero byte for a number": ("layer,p\nr,\0\n", r"is not text \(a zero byte at character 10\); give a CSV or JSON report, saved as UTF-8"),
    "a terminal's command for a number": ("layer,p\nr,\x1b[2J\n", r"line 2 holds '\\x1b\[2J' where a number belongs"),
    "digits that only Python knows": ("layer,p\nr,1_0\n", "line 2 holds '1_0' where a number belongs"),
    "digits of another script": ("layer,p\nr,\uff11\n", "line 2 holds '\uff11' where a number belongs"),
    "the same row twice": (HEADER + "a,p,b,q,cka,linear,9,1\na,p,b,q,cka,linear,9,nan\n", "line 3 gives p × q a second time"),
    "a name without end twice": (HEADER + "".join(f"a,{'p' * 9000},b,q,cka,linear,9,{n}\n" for n in range(2)), r"line 3 gives p{60}\.\.\. × q a second"),
    "the same column twice": (HEADER.replace("kernel", "value"), "line 1 names the column value twice"),
    "a diagonal of a large matrix": (
        HEADER + "".join(f"a,{n},b,{n},cka,linear,9,1\n" for n in range(3000)), "no value for 0 × 1 (.*); give the whole report",
    ),
    "UTF-16 cut in a letter": ("layer,p\nr,1\n".encode("utf-16")[:-1], r"is not text in UTF-8 or UTF-16 \(truncated data"),
    "UTF-16 without a mark": ("layer,p\nr,1\n".encode("utf-16-be"), r"is not text \(a zero byte at character 0\)"),
    "Latin 1": ("layer,größe\nr,1\n".encode("latin-1"), "is not text in UTF-8 or UTF-16"),
    "zero bytes": (bytes(5000), r"is not text \(a zero byte"),
    "spaces": (" \n" * 5000, "is empty"),
    "brackets": ("[" * 10**5, "is not JSON"),
    "braces": ('{"a":' * 10**5, "is not JSON"),
    "lists in lists": ('{"matrices":' + "[" * 900 + "]" * 900 + "}", "is JSON, but no report"),
    "a number without end": ('{"matrices": ' + "9" * 5000 + "}", "is not JSON"),
    "a number beyond every float": (report(values=[[10**400, 1]]), r"is JSON, but no report of cka compare \(int too large"),
    "no end of layers": (report(x_layers=["p"] * 10**5), r"values of shape \(1, 2\) for 100000 × 2 layers"),
    "text for rows": (report(values=["12"]), r"is JSON, but no report of cka compare \('12' where a list belongs\)"),
    "text for layers": (report(y_layers="qr"), "'qr' where a list belongs"),
    "lists for layers": (report(y_layers=[["q"], "r"]), r"\['q'\] where the name of a layer belongs"),
    "null for a layer": (report(y_layers=[None, "r"]), "None where the name of a layer belongs"),
    "text for numbers": (report(values=[["1", 0]]), "'1' where a number belongs"),
    "truth for numbers": (report(values=[[True, 0]]), "True where a number belongs"),
    "rows of two lengths": (report(values=[[1, 2], [1]], x_layers=["p", "s"]), "rows of 1 to 2 values"),
    "a text as long as a book": (report(values="x" * 10**5), r"\('x{59}\.\.\. where a list belongs\)"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line"), WRONG.values(), ids=WRONG)
def test_reports_that_lie_are_one_line(text, line):
    with pytest.raises(DataError) as raised:
        read_matrices(text if isinstance(text, bytes) else text.encode(), "x.csv")
    assert re.search(f"^x.csv: .*{line}", str(raised.value)), str(raised.value)
    assert len(str(raised.value)) < 400


def test_numbers_beyond_every_float_are_infinite():
    (matrix,) = read_matrices(b"layer,p,q\nr,1e999,-1e999\n", "x.csv")
    np.testing.assert_array_equal(matrix.values, [[np.inf, -np.inf]])


def test_a_row_of_a_million_columns_is_read():
    text = "layer," + ",".join(map(str, range(10**6))) + "\nr," + ",".join(["0.5"] * 10**6)
    (matrix,) = read_matrices(text.encode(), "x.csv")
    assert matrix.values.shape == (1, 10**6)
    assert matrix.y_layers[-1] == "999999"


def test_a_report_larger_than_any_picture_is_refused(monkeypatch):
    from cka_cli.report import reading

    monkeypatch.setattr(reading, "_MOST_CELLS", 10)
    for text in (
        "layer,p,q,r\n" + "".join(f"{n},1,1,1\n" for n in range(5)),
        HEADER + "".join(f"a,{n},b,q,cka,,9,1\n" for n in range(12)),
    ):
        with pytest.raises(DataError, match=r"holds more than 10 cells; give the report of fewer layers"):
            read_matrices(text.encode(), "x.csv")
    monkeypatch.setattr(reading, "MOST_BYTES", 2 << 20)
    with pytest.raises(DataError, match=r"x\.csv: is more than 2 MiB"):
        read_matrices(bytes((2 << 20) + 1), "x.csv")


def test_a_count_that_is_none_is_unknown():
    for count in ("many", [9], None, 1.5, True):
        assert read_matrices(report(n_examples=count).encode(), "x.json")[0].n_examples is None
    assert read_matrices(report().encode(), "x.json")[0].n_examples == 9
    tidy = HEADER + "a,p,b,q,cka,linear,{},1\n"
    assert read_matrices(tidy.format("9").encode(), "x.csv")[0].n_examples == 9
    for count in ("\u0663", "9" * 30, "-1", ""):
        assert read_matrices(tidy.format(count).encode(), "x.csv")[0].n_examples is None
