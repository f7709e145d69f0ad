"""`python -m tracebench.load.peers.null_server rest|grpc [PATH]`: what `serve.spawned` starts."""

import sys

from tracebench.load.peers.null_server.serve import serve_parent

if __name__ == "__main__":
    serve_parent(*sys.argv[1:])
