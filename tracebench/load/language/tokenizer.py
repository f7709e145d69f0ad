"""A tokenizer from a file, for exact prompt lengths; needs the extra `llm`."""

from typing import Protocol

from tracebench.model.errors import UsageError, excerpt
from tracebench.system.input_files import check_file

_MOST_BYTES = 256 * 2**20


class Tokenizer(Protocol):
    """Counts tokens."""

    def count(self, text: str) -> int:
        """The number of tokens in a text, without start and end markers."""


class _FromFile:
    def __init__(self, path: str) -> None:
        from tokenizers import Tokenizer as Tokens  # in an extra, and slow to load

        self._encode = Tokens.from_file(path).encode

    def count(self, text: str) -> int:
        return len(self._encode(text, add_special_tokens=False))


def load(path: str) -> Tokenizer:
    """Read `--tokenizer`: a `tokenizer.json`, as shipped with Hugging Face models.

    Raises:
        UsageError: the file is not a tokenizer, or the package `tokenizers` is missing.
    """
    check_file("--tokenizer", path, _MOST_BYTES)
    try:
        return _FromFile(path)
    except ImportError:
        raise UsageError(
            "--tokenizer needs the package tokenizers: pip install 'tracebench[llm]'"
        ) from None
    except Exception as error:  # the package raises nothing more specific
        raise UsageError(
            f"--tokenizer {path!r} cannot be read ({excerpt(str(error))}): give a tokenizer.json"
        ) from None
