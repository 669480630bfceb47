"""Measure cka as a user meets it, in whole processes, and print a Markdown table, one row per case.

    .venv/bin/python tests/benchmarks/run.py [--only PATTERN] [--scale 0.1 --runs 1] [--write-readme]

`README.md` beside this file says what each case measures and how to read it.
"""

import argparse
import contextlib
import fnmatch
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cases import CASES
from kinds import Case, Workbench
from peers import make_folder
from processes import ROOT, CommandFailedError, busy_cores, cores
from rows import HEADER, LOADED, Row, machine_facts, write_readme

README = Path(__file__).with_name("README.md")
FAILED = "failed"


def options() -> argparse.Namespace:
    """Return the command line, checked."""
    parser = argparse.ArgumentParser(description="Measure cka in whole processes.")
    parser.add_argument("--only", metavar="PATTERN", action="append", help="cases to run, as 'growth-*'; repeatable")
    parser.add_argument("--runs", metavar="N", type=int, default=3, help="counted runs of each command (default 3)")
    parser.add_argument("--scale", metavar="F", type=float, default=1.0, help="shrink the data, for a trial")
    parser.add_argument("--list", action="store_true", help="print the cases and stop")
    parser.add_argument("--loaded", action="store_true", help="with a busy process on each core beside it")
    parser.add_argument("--data", metavar="FOLDER", type=Path, help="keep the data here (default: made, then removed)")
    parser.add_argument("--peers", metavar="FOLDER", type=Path, default=ROOT / ".bench", help="environments of peers")
    parser.add_argument("--write-readme", action="store_true", help="put the rows into the table of README.md")
    given = parser.parse_args()
    given.cases = [case for case in CASES if not given.only or any(fnmatch.fnmatch(case.name, p) for p in given.only)]
    if not given.cases:
        parser.error(f"no case is named {' or '.join(given.only)}; see --list")
    if not Path(sys.executable).with_name("cka").exists():
        parser.error("there is no cka beside this interpreter; install the package into its environment")
    if given.runs < 1 or not 0 < given.scale <= 1:
        parser.error("--runs wants 1 or more, --scale a number above 0 and up to 1")
    if given.write_readme and given.scale < 1:
        parser.error("--write-readme wants the full size: leave out --scale")
    return given


@contextlib.contextmanager
def data_folder(wanted: Path | None) -> Iterator[Path]:
    """Give the folder of the data: the one wanted, which stays, or a temporary one."""
    if wanted:
        make_folder(wanted.resolve())
        yield wanted.resolve()
    else:
        with tempfile.TemporaryDirectory(prefix="cka-benchmarks-") as folder:
            yield Path(folder)


def row_of(case: Case, bench: Workbench) -> Row:
    """Measure a case; what fails becomes a row that says so, and its reason goes to standard error."""
    try:
        row = case.measure(bench)
    except CommandFailedError as error:
        print(f"{case.name}: {error}", file=sys.stderr)
        return replace(pending(case), is_met=False, note=FAILED)
    return row if bench.scale == 1 else replace(row, is_met=None)


def pending(case: Case) -> Row:
    """Return the row of a case that was not measured."""
    return Row(name=case.name, command=case.command, target=case.target)


def main() -> int:
    """Run the cases; 1 when a command fails. A missed target is told in the table and changes nothing else."""
    given = options()
    if given.list:
        print("\n".join(f"{case.name:20} {case.target:22} {case.about}" for case in given.cases))
        return 0
    rows = []
    print(*HEADER, sep="\n", flush=True)
    with data_folder(given.data) as data, busy_cores() if given.loaded else contextlib.nullcontext():
        bench = Workbench(data, given.peers.resolve(), given.runs, given.scale)
        for case in given.cases:
            row = row_of(case, bench)
            rows.append(replace(row, name=row.name + LOADED) if given.loaded else row)
            print(rows[-1], flush=True)
    facts = f"{machine_facts(len(cores()))}; medians of {given.runs} runs"
    print(f"\n{facts}")
    if given.write_readme:
        write_readme(README, rows, [pending(case) for case in CASES], facts)
    return int(any(row.note == FAILED for row in rows))


if __name__ == "__main__":
    sys.exit(main())
