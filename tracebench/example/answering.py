"""What both protocols do with a picture: three components, and the answer as JSON."""

import json

from server_middleware import component
from tracebench.example.classifier import Classifier
from tracebench.vocabulary import INFERENCE, POSTPROCESSING, PREPROCESSING

LARGEST_BYTES = 32 << 20


def answer(classifier: Classifier, content: bytes) -> str:
    """Classify a picture.

    Raises:
        BadImageError: it is none.
    """
    with component(PREPROCESSING):
        tensor = classifier.preprocess(content)
    with component(INFERENCE):
        probabilities = classifier.infer(tensor)
    with component(POSTPROCESSING):
        return json.dumps({"predictions": classifier.postprocess(probabilities)})
