"""The user's files: read within bounds, written whole or not at all."""


def why(error: OSError | ValueError) -> str:
    """What went wrong with a file, without its number and its path."""
    return getattr(error, "strerror", None) or str(error)
