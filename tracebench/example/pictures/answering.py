"""What both protocols do with a picture: its components, and the answer as JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from server_middleware import component
from server_middleware.vocabulary import INFERENCE, POSTPROCESSING, PREPROCESSING, QUEUE
from tracebench.example.pictures.classifier import Classifier


def answer(classifier: Classifier, content: bytes) -> str:
    """Classify a picture.

    Raises:
        BadImageError: it is none.
    """
    with component(PREPROCESSING):
        tensor = classifier.preprocess(content)
    with _turn(classifier), component(INFERENCE):
        probabilities = classifier.infer(tensor)
    with component(POSTPROCESSING):
        return json.dumps({"predictions": classifier.postprocess(probabilities)})


@contextmanager
def _turn(classifier: Classifier) -> Iterator[None]:
    """Wait until an instance of the model is free, where they are limited."""
    if classifier.instances is None:
        yield
        return
    with component(QUEUE):
        classifier.instances.acquire()
    try:
        yield
    finally:
        classifier.instances.release()
