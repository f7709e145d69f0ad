"""The example model servers, each over REST and gRPC: a picture classifier, a language model."""

from importlib.resources import files


def picture() -> bytes:
    """The default picture: a cup of espresso, PNG. See CREDITS.md."""
    return files(__package__ or __name__).joinpath("coffee.png").read_bytes()
