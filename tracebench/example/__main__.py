"""The example server as a child process; started by `tracebench.example.serve.spawned`."""

import sys

from tracebench.example.serve import serve_parent
from tracebench.model.errors import TracebenchError

if __name__ == "__main__":
    try:
        serve_parent(llm="--llm" in sys.argv)
    except TracebenchError as error:
        sys.exit(f"tracebench: {error}")
