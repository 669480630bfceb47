"""Results in one format, as the commands write them."""

from cka_cli.api.match import Matching
from cka_cli.report import Screen, render
from cka_cli.report.compare import ComparisonReport
from cka_cli.report.diagnose import DiagnosisReport
from cka_cli.report.explain import ExplanationReport
from cka_cli.report.inspect import InspectionReport
from cka_cli.report.json_text import Provenance
from cka_cli.report.match import DepthReport, MatchingReport
from cka_cli.report.measures import Catalogue
from cka_cli.results.matrix import Comparison

NOWHERE = Provenance([], {})


def format_tidy(comparison):
    return render(ComparisonReport(comparison, NOWHERE), "csv")


def format_wide(comparison):
    return render(ComparisonReport(comparison, NOWHERE), "wide")


def format_json(comparison, provenance):
    return render(ComparisonReport(comparison, provenance), "json")


def format_table(comparison, *, width, colour=False):
    return render(ComparisonReport(comparison, NOWHERE), "table", Screen(width, colour))


def format_explanation(explanation, n_components, report_format, provenance=NOWHERE):
    return render(ExplanationReport(explanation, n_components, provenance), report_format)


def format_summary(diagnosis, *, width, colour=False):
    return render(DiagnosisReport(diagnosis, False, NOWHERE), "table", Screen(width, colour))


def format_inspection(arrays, report_format):
    return render(InspectionReport(arrays), report_format)


def format_catalogue(report_format):
    return render(Catalogue(), report_format)


def format_accuracies(identifications):
    matching = Matching(Comparison(()), (), (), tuple(identifications))
    return render(MatchingReport(matching, None, NOWHERE), "csv")


def format_partners(correspondences):
    return render(MatchingReport(Matching(Comparison(()), (), tuple(correspondences), ()), None, NOWHERE), "csv")


def format_matching_json(comparison, correspondences, identifications, provenance):
    matching = Matching(comparison, comparison.matrices, tuple(correspondences), tuple(identifications))
    return render(MatchingReport(matching, None, provenance), "json")


def format_matching(identifications, correspondences, matrices, *, report, width, colour=False):
    matching = Matching(Comparison(()), tuple(matrices), tuple(correspondences), tuple(identifications))
    return render(MatchingReport(matching, report, NOWHERE), "table", Screen(width, colour))


def format_depth(studies, *, width, colour=False):
    return render(DepthReport(Comparison(()), studies, NOWHERE), "table", Screen(width, colour))


def format_depths(studies):
    return render(DepthReport(Comparison(()), studies, NOWHERE), "csv")


def format_depth_json(comparison, studies, provenance):
    return render(DepthReport(comparison, studies, provenance), "json")
