"""Shared by both protocols: listening sockets, and the classification of a picture."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from server_middleware import component
from server_middleware.vocabulary import INFERENCE, POSTPROCESSING, PREPROCESSING, QUEUE
from tracebench.example.classifier import Classifier
from tracebench.model.errors import TracebenchError

# Listening sockets, and the notation of their addresses.


def listener(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one.

    Raises:
        TracebenchError: the port is in use, or the host is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # the address is in the message already
        raise TracebenchError(
            f"cannot listen on {address(host, port)} ({why}): choose another host or port"
        ) from None


def address(host: str, port: int) -> str:
    """`HOST:PORT`, with an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# The classification of a picture: its components, and the answer as JSON.

LARGEST_BYTES = 32 << 20


def answer(classifier: Classifier, content: bytes) -> str:
    """Classify a picture; returns the answer as JSON.

    Raises:
        BadImageError: it is not a picture that can be classified.
    """
    with component(PREPROCESSING):
        tensor = classifier.preprocess(content)
    with _turn(classifier), component(INFERENCE):
        probabilities = classifier.infer(tensor)
    with component(POSTPROCESSING):
        return json.dumps({"predictions": classifier.postprocess(probabilities)})


@contextmanager
def _turn(classifier: Classifier) -> Iterator[None]:
    """Wait until an instance of the model is free, if they are limited."""
    if classifier.instances is None:
        yield
        return
    with component(QUEUE):
        classifier.instances.acquire()
    try:
        yield
    finally:
        classifier.instances.release()
