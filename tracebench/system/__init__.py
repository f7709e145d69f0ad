"""The user's files: read within bounds, written whole or not at all."""


def json_fault(error: ValueError | RecursionError) -> str:
    """Why a text is not JSON, without Python's advice for programmers."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).partition("; use sys.")[0]


def why(error: OSError | ValueError) -> str:
    """What went wrong with a file, without the error number and the path."""
    return getattr(error, "strerror", None) or str(error)
