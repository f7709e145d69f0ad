"""The network: a transformer (pre-norm, rotary positions) in ONNX, with its KV cache beside it.

Attention is onnxruntime's own operator, which reads and extends the cache in place.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tracebench.example.language.tokenizer import SIZE

WIDTH, LAYERS, HEADS, CONTEXT = 384, 8, 6, 2048
_OF_HEAD: Final = WIDTH // HEADS
_INNER: Final = 4 * WIDTH
_SEED: Final = 7
_CONTRIBUTED: Final = "com.microsoft"
_ROTATION: Final = 10_000.0

Logits = npt.NDArray[np.float32]


class _Graph:
    """A graph that grows node by node; each method returns the name of its output."""

    def __init__(self) -> None:
        self._draw = np.random.default_rng(_SEED)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def weights(self, name: str, rows: int, columns: int) -> str:
        """Random weights, scaled to preserve the variance of their input."""
        drawn = self._draw.standard_normal((rows, columns), np.float32)
        return self.constant(name, drawn / np.float32(np.sqrt(rows)))

    def node(self, kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[0]

    def times(self, x: str, name: str, rows: int, columns: int) -> str:
        return self.node("MatMul", [x, self.weights(f"{name}.w", rows, columns)], name)

    def layer(self, x: str, number: int) -> str:
        """Attention, then the feed-forward part, each with a residual connection."""
        at = f"layer{number}"
        normed = self.node("LayerNormalization", [x, "ones"], f"{at}.attention.norm")
        asked = self.times(normed, f"{at}.qkv", WIDTH, 3 * WIDTH)
        before = [f"past.{kind}.{number}" for kind in "kv"]
        inputs = [asked, "", "", *before, "last_place", "longest", "cosine", "sine"]
        outputs = [f"{at}.attended", *(f"{kind}.{number}" for kind in "kv")]
        how = {"num_heads": HEADS, "kv_num_heads": HEADS, "do_rotary": 1, "domain": _CONTRIBUTED}
        attended = self.node("GroupQueryAttention", inputs, *outputs, **how)
        added = self.times(attended, f"{at}.out", WIDTH, WIDTH)
        x = self.node("Add", [x, added], f"{at}.between")
        normed = self.node("LayerNormalization", [x, "ones"], f"{at}.inner.norm")
        wide = self.times(normed, f"{at}.up", WIDTH, _INNER)
        bent = self.node("Gelu", [wide], f"{at}.bent", domain=_CONTRIBUTED)
        return self.node("Add", [x, self.times(bent, f"{at}.down", _INNER, WIDTH)], f"{at}.end")


def build() -> ModelProto:
    """Build the network: (streams, tokens) → logits of the next token of each stream."""
    graph = _Graph()
    graph.constant("ones", np.ones(WIDTH, np.float32))
    graph.constant("last", np.array(-1))
    turns = _ROTATION ** (-np.arange(0, _OF_HEAD, 2) / _OF_HEAD)
    angles = np.outer(np.arange(CONTEXT), turns)
    graph.constant("cosine", np.cos(angles).astype(np.float32))
    graph.constant("sine", np.sin(angles).astype(np.float32))
    x = graph.node("Gather", [graph.weights("embedding", SIZE, WIDTH), "tokens"], "embedded")
    for number in range(LAYERS):
        x = graph.layer(x, number)
    x = graph.node("Gather", [x, "last"], "at_the_end", axis=1)
    x = graph.node("LayerNormalization", [x, "ones"], "end.norm")
    graph.node("MatMul", [x, graph.weights("head", WIDTH, SIZE)], "logits")
    return _model(graph)


def _model(graph: _Graph) -> ModelProto:
    value, floats = helper.make_tensor_value_info, TensorProto.FLOAT
    inputs = [
        value("tokens", TensorProto.INT64, ["streams", "length"]),
        value("last_place", TensorProto.INT32, ["streams"]),
        value("longest", TensorProto.INT32, []),
    ]
    outputs = [value("logits", floats, ["streams", SIZE])]
    shape: list[str | int | None] = ["streams", HEADS, CONTEXT, _OF_HEAD]
    names = [f"{kind}.{number}" for number in range(LAYERS) for kind in "kv"]
    inputs += [value(f"past.{name}", floats, shape) for name in names]
    outputs += [value(name, floats, shape) for name in names]
    made = helper.make_graph(graph.nodes, "language", inputs, outputs, graph.constants)
    used = [helper.make_opsetid("", 17), helper.make_opsetid(_CONTRIBUTED, 1)]
    model = helper.make_model(made, opset_imports=used)
    model.ir_version = 8  # the newest that onnxruntime 1.17 can read
    return model


class Decoder:
    """The network, and a KV cache with a place for each of several streams. Not thread-safe.

    Args:
        places: how many streams the cache holds.
    """

    def __init__(self, places: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # comparable on any machine
        self._session = onnxruntime.InferenceSession(
            build().SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        shape = (places, HEADS, CONTEXT, _OF_HEAD)
        self._cache = {
            f"{kind}.{number}": np.zeros(shape, np.float32)
            for number in range(LAYERS)
            for kind in "kv"
        }

    def read(self, place: int, tokens: list[int], known: int) -> Logits:
        """Read a prompt, or the uncached rest of one, into the cache.

        Args:
            place: the stream's place in the cache.
            tokens: tokens to read, at least one.
            known: number of the stream's tokens that are cached already.

        Returns:
            Logits of the next token, shape (SIZE,).
        """
        logits: Logits = self._run(slice(place, place + 1), np.array([tokens]), [known])[0]
        return logits

    def step(self, tokens: list[int], known: list[int]) -> Logits:
        """Read one more token for each of the first `len(tokens)` streams.

        Args:
            tokens: one token for each of the places 0, 1, ….
            known: number of cached tokens at each of these places.

        Returns:
            Logits of the next tokens, shape (len(tokens), SIZE).
        """
        return self._run(slice(0, len(tokens)), np.array(tokens)[:, None], known)

    def _run(self, places: slice, tokens: npt.NDArray[np.int64], known: list[int]) -> Logits:
        streams, length = tokens.shape
        last = np.array(known, np.int32) + np.int32(length - 1)
        bound = self._session.io_binding()
        bound.bind_cpu_input("tokens", tokens)
        bound.bind_cpu_input("last_place", last)
        bound.bind_cpu_input("longest", np.array(last.max() + 1, np.int32))
        for name, held in self._cache.items():
            part = held[places]
            where = ("cpu", 0, np.float32, part.shape, part.ctypes.data)
            bound.bind_input(f"past.{name}", *where)
            bound.bind_output(name, *where)
        logits = np.empty((streams, SIZE), np.float32)
        bound.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self._session.run_with_iobinding(bound)
        return logits
