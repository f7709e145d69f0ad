"""A Python process of our own beside this one, and a pipe to it."""

import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection as Pipe


class Child:
    """A process that runs `main(descriptor)` of a module, with the same import path.

    It is not a fork, because gRPC's threads do not survive one, nor a `multiprocessing.Process`,
    which would run the caller's main module again.

    Args:
        module: the module with `main`, which gets the descriptor of its end of the pipe.
        patience_s: how long it may take to end once its pipe is closed; then it is killed.
    """

    def __init__(self, module: str, patience_s: float) -> None:
        self._patience_s = patience_s
        ours, theirs = socket.socketpair()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from {module} import main; main({theirs.fileno()})"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "GRPC_VERBOSITY": "NONE"},  # what fails is told over the pipe
            start_new_session=True,  # Ctrl-C reaches only the engine
        )
        theirs.close()
        self.pipe = Pipe(ours.detach())

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def end(self) -> None:
        """End the process at once, whatever it does."""
        self._process.terminate()
        self.close()

    def close(self) -> None:
        """Close the pipe, and wait until the process has ended."""
        self.pipe.close()
        try:
            self._process.wait(self._patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
