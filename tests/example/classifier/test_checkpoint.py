import pickle
import struct
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tracebench.example.pictures.checkpoint import read_checkpoint

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001


class FloatStorage:
    """Stands for torch's class of this name."""


class LongStorage:
    """Stands for torch's class of this name."""


def _rebuild_tensor_v2(*_: Any) -> None:
    """Stands for torch's function of this name."""


KINDS: dict[str, type] = {"<f4": FloatStorage, "<i8": LongStorage}


class Tensor:
    def __init__(self, key: str, array: npt.NDArray[Any], offset: int = 0) -> None:
        self.key, self.array, self.offset = key, array, offset

    def __reduce__(self) -> tuple[Any, ...]:
        strides = tuple(step // self.array.itemsize for step in self.array.strides)
        return _rebuild_tensor_v2, (self, self.offset, self.array.shape, strides, False, None)


class Shared(Tensor):
    """A view of a part of a storage."""

    def __init__(self, key: str, array: npt.NDArray[Any], *, offset: int, shape: Any) -> None:
        super().__init__(key, array, offset)
        self.shape = shape

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_tensor_v2, (self, self.offset, self.shape, (1,), False, None)


class Writer(pickle.Pickler):
    """Writes a tensor's storage as torch does: as a reference."""

    inside = False

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Tensor):
            return None
        self.inside = not self.inside  # the tensor itself first, then the storage it is made of
        kind = KINDS[obj.array.dtype.str]
        return None if self.inside else ("storage", kind, obj.key, "cpu", obj.array.size)


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for stand_in, module in (
        (FloatStorage, "torch"),
        (LongStorage, "torch"),
        (_rebuild_tensor_v2, "torch._utils"),
    ):
        here = sys.modules.get(module) or ModuleType(module)
        monkeypatch.setattr(stand_in, "__module__", module)
        monkeypatch.setattr(here, stand_in.__name__, stand_in, raising=False)
        monkeypatch.setitem(sys.modules, module, here)


def written(path: Path, state: Any, *storages: npt.NDArray[Any], magic: int = MAGIC) -> Path:
    """Write a checkpoint; storage number n has the key `str(n)`."""
    with path.open("wb") as file:
        for part in (magic, VERSION, {"little_endian": True}):
            pickle.dump(part, file, protocol=2)
        Writer(file, protocol=2).dump(state)
        pickle.dump([str(number) for number in range(len(storages))], file, protocol=2)
        for storage in storages:
            file.write(struct.pack("<q", storage.size) + storage.tobytes(order="A"))
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(
        st.sampled_from(sorted(KINDS)).flatmap(
            lambda kind: arrays(kind, array_shapes(min_dims=0, max_dims=4, max_side=4))
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_what_was_written_is_read(
    tmp_path: Path, given_arrays: list[npt.NDArray[Any]], transposed: bool
) -> None:
    numbers = [array.copy().T if transposed else array.copy() for array in given_arrays]
    state = OrderedDict((f"w{n}", Tensor(str(n), array)) for n, array in enumerate(numbers))
    found = read_checkpoint(written(tmp_path / "checkpoint", state, *numbers))
    assert list(found) == list(state)
    for name, array in zip(found, numbers, strict=True):
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_two_tensors_may_share_a_storage(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype="<f4")
    state = {"all": Tensor("0", numbers), "rest": Shared("0", numbers, offset=4, shape=(2,))}
    found = read_checkpoint(written(tmp_path / "checkpoint", state, numbers))
    assert found["rest"].tolist() == [4, 5]


def test_a_tensor_beyond_its_storage(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype="<f4")
    state = {"w": Shared("0", numbers, offset=4, shape=(3,))}
    with pytest.raises(ValueError, match=r"incompatible|too small"):
        read_checkpoint(written(tmp_path / "checkpoint", state, numbers))


def test_a_file_that_ends_early(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype="<f4")
    path = written(tmp_path / "checkpoint", {"w": Tensor("0", numbers)}, numbers)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="buffer"):
        read_checkpoint(path)


def test_a_storage_of_another_length(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype="<f4")
    state = {"w": Tensor("0", numbers)}
    with pytest.raises(ValueError, match="of 6 numbers claims to have 5"):
        read_checkpoint(written(tmp_path / "checkpoint", state, numbers[:5]))


def test_another_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a checkpoint"):
        read_checkpoint(written(tmp_path / "checkpoint", {}, magic=7))


class Intruder:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("I was run",)


def test_other_intentions_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"__builtin__\.print: refused"):
        read_checkpoint(written(tmp_path / "checkpoint", {"w": Intruder()}))
    assert capsys.readouterr().out == ""
