"""Accuracies, partners and studies of depth as CSV, JSON and tables."""

import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len

from cka_cli.analysis.correspondence import correspondence
from cka_cli.analysis.depth import study
from cka_cli.analysis.identification import Identification
from cka_cli.report.json_text import Provenance
from cka_cli.report.match import sentences
from cka_cli.report.reading import read_matrices
from cka_cli.results.matrix import Comparison, Matrix
from tests.report.written import (
    format_accuracies,
    format_depth,
    format_depth_json,
    format_depths,
    format_matching,
    format_matching_json,
    format_partners,
)

NAN = float("nan")
MEANT = Provenance(["cka", "match"], {"threshold": 0.95})


def matrix(values, names=None, **facts):
    values = np.array(values, float)
    rows = tuple(names or [f"conv{place}" for place in range(len(values))])
    columns = tuple(f"conv{place}" for place in range(len(values[0])))
    facts = {"x_file": "x, 1.h5", "y_file": "y.h5", "measure": "cka", "kernel": "linear", "n_examples": 9} | facts
    return Matrix(values, rows, columns, **facts)


def identification(accuracy=0.5, **facts):
    facts = {
        "measure": "cka", "kernel": "linear", "n_examples": 9, "n_files": 3, "n_layers": 8, "std_error": 0.125,
        "p_value": 0.001, "by_file": (0.5, 0.25, 0.75), "p_value_by_file": (0.01, 0.02, 0.03), "difference": -0.25,
        "difference_std_error": 0.0625, "differs": True,
    } | facts  # fmt: skip
    return Identification(accuracy=accuracy, **facts)


SQUARE = matrix([[0.5, 0.9], [0.25, 0.125]])
HOLES = matrix([[NAN, NAN, NAN], [1, 1, 0.5]])
BLOCK = [[1, 0.5, 0.2, 0.2], [0.5, 1, 0.3, 0.3], [0.2, 0.3, 1, 0.96], [0.2, 0.3, 0.96, 1]]


def deep(cells=BLOCK, dimensions=(1.5, 2.5, NAN, 3.5), **facts):
    return study(matrix(cells, y_file="x, 1.h5", **facts), dimensions, 0.95)


def read(text, **options):
    return pd.read_csv(io.StringIO(text), **options)


# CSV


def test_accuracies_are_shares_and_what_needs_three_networks_is_empty():
    two = {"n_files": 2, "std_error": None, "difference": 0.0, "difference_std_error": None, "differs": None}
    text = format_accuracies([identification(), identification(0.75, kernel="", **two)])
    assert text == (
        "measure,kernel,n_files,n_layers,n_examples,accuracy,std_error,chance,p_value,difference,difference_std_error,"
        "differs\n"
        "cka,linear,3,8,9,0.5,0.125,0.125,0.001,-0.25,0.0625,true\n"
        "cka,,2,8,9,0.75,,0.125,0.001,0.0,,\n"
    )
    assert read(text)["differs"].tolist()[0] is True


def test_partners_are_one_line_for_each_layer_of_each_pair():
    text = format_partners([correspondence(SQUARE), correspondence(HOLES)])
    assert text.splitlines()[:2] == [
        "x_file,x_layer,y_file,measure,kernel,n_examples,best_layer,best_value,n_best,second_layer,second_value,margin,"
        "monotone_layer,monotone_value",
        '"x, 1.h5",conv0,y.h5,cka,linear,9,conv1,0.9,1,conv0,0.5,0.4,conv1,0.9',
    ]
    frame = read(text, keep_default_na=False)
    assert len(frame) == 4
    assert frame.iloc[2][["best_layer", "best_value", "n_best", "margin"]].tolist() == ["", "nan", 0, ""]
    assert frame.iloc[3][["best_layer", "n_best", "margin", "monotone_layer"]].tolist() == ["conv0", 2, "0.0", "conv0"]


def test_depths_are_one_line_for_each_layer():
    text = format_depths([deep(), deep(measure="hsic")])
    lines = text.splitlines()
    assert lines[0] == (
        "file,layer,measure,kernel,n_examples,to_previous,to_last,effective_dimension,is_like_last,is_in_stretch"
    )
    assert lines[1] == '"x, 1.h5",conv0,cka,linear,9,,0.2,1.5,false,false'
    assert lines[3] == '"x, 1.h5",conv2,cka,linear,9,0.3,0.96,nan,true,true'
    assert lines[5] == '"x, 1.h5",conv0,hsic,linear,9,,0.2,1.5,,'
    assert format_depths([deep(dimensions=())]).splitlines()[1].endswith(",0.2,,false,false")


# JSON


def test_json_of_a_matching_holds_everything_and_heatmap_reads_it():
    comparison = Comparison((SQUARE, HOLES), notes=("a note",))
    found = [correspondence(SQUARE, 0.5), correspondence(HOLES)]
    none = [identification(by_file=(), p_value_by_file=())]
    text = format_matching_json(comparison, found, none, MEANT)
    document = json.loads(text)
    assert list(document) == [
        "version", "command", "options", "files", "accuracies", "pairs", "matrices", "notes",
    ]  # fmt: skip
    assert document["accuracies"][0]["accuracy"] == 0.5
    first, second = document["pairs"]
    assert (first["accuracy"], first["best_mean"], first["monotone_mean"]) == (0.5, 0.575, 0.5125)
    assert first["partners"][0]["margin"] == 0.4
    assert second["partners"][0]["best_value"] is None
    assert document["notes"] == ["a note"]
    read_back = read_matrices(text.encode(), "x")
    np.testing.assert_array_equal(read_back[1].values, HOLES.values)


def test_json_of_a_study_of_depth():
    one, other = deep(), deep(np.eye(4), measure="hsic")
    document = json.loads(format_depth_json(Comparison((one.matrix,)), [one, other], MEANT))
    assert document["depth"][0]["like_last"] == {"first": "conv2", "last": "conv3", "n_layers": 2}
    assert document["depth"][0]["stretch"] == {"first": "conv2", "last": "conv3", "n_layers": 2}
    assert document["depth"][0]["layers"][2]["effective_dimension"] is None
    assert document["depth"][0]["threshold"] == 0.95
    assert [document["depth"][1][name] for name in ("threshold", "like_last", "stretch")] == [None] * 3


# Tables


def matched(identifications=(), matrices=(SQUARE,), *, report=None, **options):
    found = [correspondence(each, 0.5 if identifications else None) for each in matrices]
    return format_matching(identifications, found, matrices, report=report, **{"width": 80} | options)


def test_a_table_of_accuracies_marks_the_best_and_what_is_no_worse_or_at_chance():
    table = matched(
        [
            identification(0.9, difference=0.0, difference_std_error=0.0, differs=False),
            identification(0.8, kernel="rbf:sigma=0.4", difference=-0.1, differs=False),
            identification(0.5, measure="pwcca", kernel="", difference=-0.4),
            identification(0.125, measure="hsic", difference=-0.775, p_value=0.6),
        ],
        report="accuracy",
    )
    rows = [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]
    assert rows[0] == ["layers identified", "3 networks × 8 layers, 9 examples, chance 12.5 %"]
    assert rows[2:6] == [
        ["cka, linear", "90.0", "12.5", "best"],
        ["cka, rbf:sigma=0.4", "80.0", "12.5", "−10.0", "6.2", "="],
        ["pwcca", "50.0", "12.5", "−40.0", "6.2"],
        ["hsic, linear", "12.5", "12.5", "−77.5", "6.2", "chance"],
    ]
    assert "=: not significantly below the best" in table
    assert "→" not in table


def test_two_networks_have_no_errors_in_the_table():
    none = {"n_files": 2, "std_error": None, "difference": 0.0, "difference_std_error": None, "differs": None}
    table = matched([identification(0.9, **none)])
    assert "±" not in table
    assert "three networks or more give a standard error" in table
    assert "best \n" not in table.partition("→")[0]
    assert "x, 1.h5 → y.h5, 50.0 % identified" in table


def test_partners_in_a_table():
    lines = matched(matrices=(SQUARE, HOLES)).splitlines()
    assert lines[0] == "cka, linear  x, 1.h5 → y.h5, 9 examples"
    assert lines[2].split() == ["conv0", "conv1", "0.900", "conv0", "0.500", "0.400", "conv1"]
    assert lines[3].split() == ["conv1", "conv0", "0.250", "conv1", "0.125", "0.125", "conv1", "0.125"]
    assert lines[4] == "mean of the best 0.575, of the monotone path 0.512: the order costs 0.062"
    assert lines[8].split() == ["conv0", "nan"]
    assert lines[9].split() == ["conv1", "conv0", "1.000", "conv1", "1.000", "2", "equal", "conv0"]
    assert lines[10] == "mean of the best 1.000, of the monotone path 1.000"


def test_short_names_leave_room_for_the_runner_up_and_long_kernels_for_the_numbers():
    large = matrix([[294.054, 153.179], [1.0, 0.5]], ["a", "b"], measure="hsic")
    assert "153.179" in matched(matrices=(large,), width=70)
    kernel = "polynomial:degree=3,gamma=0.002,coef0=1"
    table = matched([identification(measure="cka-debiased", kernel=kernel), identification()], width=80)
    assert kernel in table
    assert "−25.0" in table


def test_many_partners_are_shown_when_asked_for():
    large = matrix(np.eye(40))
    few = matched([identification()], (large, large))
    assert "→" not in few
    assert few.endswith("the partner of each layer: --report partners\n")
    assert matched([identification()], (large, large), report="partners").count("→") == 2
    assert matched((), (large, large)).count("→") == 2


@pytest.mark.parametrize("width", [1, 30, 44, 60, 80, 120])
def test_lines_fit_the_screen_and_names_are_literal(width):
    names = ["[/x][red]" + "r" * 30 + ".conv1", "\x1b[31mp"]
    table = matched([identification()], (matrix([[0.5, 0.9], [0.2, 0.1]], names),), width=width)
    table += format_depth([study(matrix(np.eye(2), names), (1, 2), 0.95)], width=width)
    assert "\x1b" not in table
    assert max(cell_len(line) for line in table.splitlines()) <= max(width, 30)
    assert ".conv1" in table


def test_colours_only_when_asked_for():
    for text in (matched([identification()], colour=True), format_depth([deep()], colour=True, width=80)):
        assert re.search(r"48;2;\d+;\d+;\d+", text)
    assert "\x1b" not in matched([identification()]) + format_depth([deep()], width=80)


def test_a_study_of_depth_says_in_a_sentence_what_adds_nothing():
    table = format_depth([deep()], width=200)
    lines = table.splitlines()
    assert lines[2].split() == ["conv0", "0.200", "1.5"]
    assert lines[4].split() == ["conv2", "0.300", "0.960", "nan", "*|"]
    assert sentences(deep()) == [
        "from conv2 on (1 of 4 layers, beside the last) every one has cka, linear ≥ 0.95 with the last (conv3): "
        "they add nothing that "
        "cka sees"
    ]
    assert lines[6] == sentences(deep())[0]


def test_sentences_of_other_studies():
    middle = np.array([[1, 0.96, 0.2], [0.96, 1, 0.3], [0.2, 0.3, 1]])
    assert sentences(deep(middle, ())) == [
        "no layer is like the last (conv2): the one before it has cka, linear 0.300 with it",
        "the longest stretch of layers any two of which have cka, linear ≥ 0.95: conv0 to conv1 (2 of 3 layers)",
    ]
    assert sentences(deep(measure="hsic")) == []
