import io
import sys
from contextlib import suppress

import pytest

from cka_cli.progress import shown_progress, time_left


class Terminal(io.StringIO):
    def isatty(self):
        return True


def report_twice(stream, monkeypatch, *, quiet=False):
    monkeypatch.setattr(sys, "stderr", stream)
    with shown_progress(quiet=quiet) as report:
        report("reading", 3, 7)
        report("reading", 7, 7)
        report("comparing [/x]", 1, 2)
    return stream


def test_a_terminal_sees_stages_and_then_nothing_of_them(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    shown = report_twice(Terminal(), monkeypatch).getvalue()
    assert "comparing [/x]" in shown
    assert "1/2" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor comes back


def test_bytes_are_shown_in_mib_and_things_are_counted(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with shown_progress(quiet=False) as report:
        report("reading", 160_000_000, 480_000_000)
    with shown_progress(quiet=False) as report:
        report("comparing", 2_000_000, 3_000_000)
    assert "152.6/457.8 MiB" in stream.getvalue()
    assert "160000000" not in stream.getvalue()
    assert "2000000/3000000" in stream.getvalue()


@pytest.mark.parametrize("quiet", [False, True])
def test_a_pipe_sees_nothing(monkeypatch, quiet):
    assert report_twice(io.StringIO(), monkeypatch, quiet=quiet).getvalue() == ""


def test_quiet_holds_on_a_terminal_too(monkeypatch):
    assert report_twice(Terminal(), monkeypatch, quiet=True).getvalue() == ""


def test_a_closed_standard_error_is_no_trouble(monkeypatch):
    report_twice(None, monkeypatch)


def test_an_error_ends_the_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with suppress(KeyboardInterrupt), shown_progress(quiet=False) as report:
        report("reading", 1, 7)
        raise KeyboardInterrupt
    assert stream.getvalue().count("\x1b[?25h") == 1


@pytest.mark.parametrize(
    ("elapsed_s", "done", "total", "text"),
    [(10, 0, 36, ""), (4, 2, 36, "1:08 left"), (60, 1, 121, "2:00:00 left"), (5, 7, 7, "0:00 left")],
)
def test_time_left_goes_by_the_pace_so_far(elapsed_s, done, total, text):
    assert time_left(elapsed_s, done, total) == text
