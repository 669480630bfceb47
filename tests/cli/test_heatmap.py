import pytest

from tests.cli.command import run_child, run_here
from tests.small_files import values, write_folder, write_hdf5

PNG, PDF = b"\x89PNG\r\n", b"%PDF-"
REPORTS = [[], ["--format", "wide"], ["--format", "json"]]


@pytest.fixture
def here(tmp_path, monkeypatch):
    layers = {"conv1": values(30, 5), "conv2": values(30, 4, seed=1)}
    write_hdf5(tmp_path / "a.h5", layers)
    write_hdf5(tmp_path / "block.h5", layers, userblock_size=512)
    (tmp_path / "text.h5").write_bytes(b"my notes" * 64 + (tmp_path / "a.h5").read_bytes())
    write_folder(tmp_path / "folder", layers)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("options", REPORTS, ids=["csv", "wide", "json"])
def test_every_report_is_drawn_from_a_file_or_standard_input(here, capsysbinary, options):
    report = run_here(["compare", "a.h5", *options], capsysbinary).out
    (here / "report.txt").write_bytes(report)
    from_file = run_here(["heatmap", "report.txt"], capsysbinary)
    assert (from_file.status, from_file.err) == (0, "")
    assert from_file.out.startswith(PNG)
    for source in ([], ["-"]) if options == REPORTS[0] else ([],):
        piped = run_child(["heatmap", *source, "-o", "x.png", "-f"], cwd=here, stdin=None, input=report)
        assert (piped.status, piped.out, piped.err) == (0, b"", "")
        assert (here / "x.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("text", ["PK,conv1\nconv1,1\n", "PK\tconv1\nconv1\t1\n"])
def test_a_report_may_begin_as_an_archive_does(here, capsysbinary, text):
    (here / "report.csv").write_text(text)
    ended = run_here(["heatmap", "report.csv"], capsysbinary)
    assert (ended.status, ended.err) == (0, "")


@pytest.mark.parametrize(
    "sources", [["a.h5"], ["a.h5::conv1", "folder"], ["folder"], ["block.h5"], ["text.h5"]], ids=" ".join
)
def test_activations_are_drawn_at_once(here, capsysbinary, sources):
    ended = run_here(["heatmap", *sources], capsysbinary)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith(PNG)


@pytest.mark.parametrize(
    ("name", "options", "head"),
    [("x.png", [], PNG), ("x.PDF", [], PDF), ("x.svg", [], b"<?xml"), ("x", ["--format", "pdf"], PDF)],
)  # fmt: skip
def test_the_format_follows_the_name_unless_said(here, capsysbinary, name, options, head):
    ended = run_here(["heatmap", "a.h5", "-o", name, *options], capsysbinary)
    assert (ended.status, ended.out, ended.err) == (0, b"", "")
    assert (here / name).read_bytes().startswith(head)
    assert run_here(["heatmap", "a.h5", "-o", name, *options], capsysbinary).status == 1
    assert run_here(["heatmap", "a.h5", "-o", name, *options, "--force"], capsysbinary).status == 0


def test_measures_and_kernels_choose_among_those_of_a_report(here, capsysbinary):
    run_here(["compare", "a.h5", "-m", "cka", "-m", "hsic", "-o", "r.csv"], capsysbinary)
    both, one = (run_here(["heatmap", "r.csv", *chosen], capsysbinary).out for chosen in ([], ["-m", "cka"]))
    assert both.startswith(PNG)
    assert one.startswith(PNG)
    assert both != one
    ended = run_here(["heatmap", "r.csv", "-m", "cca-r2"], capsysbinary)
    assert (ended.status, ended.out) == (1, b"")
    assert ended.err.startswith("Error: r.csv: holds no such measure and kernel (found cka, linear, hsic, linear)")


def test_nothing_to_draw_on_standard_input(here):
    ended = run_child(["heatmap", "-o", "x.png"], cwd=here)
    line = "Error: standard input: is empty; give a CSV or JSON report (did the command before it fail?)\n"
    assert (ended.status, ended.out, ended.err) == (1, b"", line)
    assert not (here / "x.png").exists()


def test_a_device_without_end_is_no_report(here, capsysbinary):
    ended = run_here(["heatmap", "/dev/zero", "-o", "x.png"], capsysbinary)
    assert ended.status == 1
    assert ended.err.startswith("Error: /dev/zero: ")
    assert ended.err.count("\n") == 1


def test_a_long_report_in_utf_16_is_read_to_its_end(here, capsysbinary, monkeypatch):
    monkeypatch.setattr("cka_cli.cli.heatmap._BLOCK_BYTES", 16)
    report = run_here(["compare", "a.h5"], capsysbinary).out
    (here / "r.csv").write_bytes(report)
    (here / "utf16.csv").write_bytes(report.decode().replace(",", "\t").encode("utf-16"))
    drawn, again = (run_here(["heatmap", name], capsysbinary) for name in ("r.csv", "utf16.csv"))
    assert (again.status, again.err) == (0, "")
    assert drawn.out == again.out
