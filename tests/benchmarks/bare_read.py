"""The least that reading can cost: every layer of the files decompressed once by h5py, nothing else.

    python tests/benchmarks/bare_read.py X.h5 Y.h5

Prints nothing and checks nothing.
"""

import sys

import h5py


def main(*paths: str) -> None:
    for path in paths:
        with h5py.File(path) as file:
            for name in file:
                file[name][:]


if __name__ == "__main__":
    main(*sys.argv[1:])
