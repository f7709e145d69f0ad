"""`python -m benchmarks.fleet [load] [merging]` prints the tables of docs/scale.md."""

import sys

from benchmarks.fleet import load, merging

PARTS = {"load": load.main, "merging": merging.main}

if __name__ == "__main__":
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
