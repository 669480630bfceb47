"""`python -m tests.reference take OUT` and `compare BEFORE AFTER`; see the package."""

import argparse
import sys
from pathlib import Path

import tests.reference
from tests.reference.comparing import differences
from tests.reference.taking import ROOT, take


def main():
    """Take or compare, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.reference", description=tests.reference.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    taking = commands.add_parser("take", help="run every command and keep what it answers in OUT")
    taking.add_argument("out", metavar="OUT", type=Path)
    taking.add_argument("--data", metavar="DIR", type=Path, help="a folder of larger activations")
    taking.add_argument(
        "--tree", metavar="DIR", type=Path, default=ROOT, help="whose cka_cli is run; default: this one"
    )
    taking.add_argument("--python", metavar="PATH", default=sys.executable, help="what runs it; default: this one")
    comparing = commands.add_parser("compare", help="print one line for each difference; status 1 where there is one")
    comparing.add_argument("before", metavar="BEFORE", type=Path)
    comparing.add_argument("after", metavar="AFTER", type=Path)
    options = parser.parse_args()
    if options.command == "take":
        if options.out.exists():
            parser.error(f"{options.out}: exists already; name a new folder")
        take(options.out, tree=options.tree, python=options.python, data=options.data)
        return 0
    n_differences = 0
    for line in differences(options.before, options.after):
        print(line)
        n_differences += 1
    return 1 if n_differences else 0


if __name__ == "__main__":
    sys.exit(main())
