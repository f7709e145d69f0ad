"""The example server as a child process: see `tracebench.example.serve.spawned`."""

import sys

from tracebench.errors import TracebenchError
from tracebench.example.serve import serve_parent

if __name__ == "__main__":
    try:
        serve_parent()
    except TracebenchError as error:
        sys.exit(f"tracebench: {error}")
