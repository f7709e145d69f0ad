"""`python -m tracebench.load.null_server rest|grpc [PATH]`: what `serve.spawned` starts."""

import sys

from tracebench.load.null_server.serve import serve_parent

if __name__ == "__main__":
    serve_parent(*sys.argv[1:])
