"""How figures look, and the files that they are saved in."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from server_middleware.vocabulary import (
    INFERENCE,
    POSTPROCESSING,
    PREPROCESSING,
    QUEUE,
    SERVER_OTHER,
)
from tracebench.model.components import BACKLOG, BODY, CLIENT, CONNECT, NETWORK, SERVER_AND_NETWORK
from tracebench.system.output_files import replaced

if TYPE_CHECKING:  # importing matplotlib takes a second; others only need the colours
    from matplotlib.figure import Figure

# One colour and one hatch for each component, everywhere.
#
# The colours are Okabe and Ito's (2008), which colour-blind people can distinguish; hatches
# distinguish neighbours in greyscale.


class Look(NamedTuple):
    """How a component is drawn."""

    color: str
    hatch: str


COMPONENTS: Final = {
    BACKLOG: Look("#000000", ""),
    CONNECT: Look("#cc79a7", "\\\\"),
    CLIENT: Look("#999999", ""),
    NETWORK: Look("#56b4e9", "//"),
    BODY: Look("#b3e0f7", "--"),
    QUEUE: Look("#f0e442", "xx"),
    PREPROCESSING: Look("#e69f00", ""),
    INFERENCE: Look("#0072b2", ""),
    POSTPROCESSING: Look("#009e73", "\\\\"),
    SERVER_OTHER: Look("#dddddd", ".."),
    SERVER_AND_NETWORK: Look("#56b4e9", "//"),
}
OWN: Final = (
    Look("#bbbbbb", "//"),
    Look("#bbbbbb", "\\\\"),
    Look("#cccccc", "xx"),
    Look("#cccccc", "--"),
)
"""Custom-named parts, the largest first; smaller ones stay in `server_other`."""
TARGETS: Final = (Look("#444444", ""), Look("#cc79a7", "//"))
INVALID: Final = "#d55e00"
SIZE_IN: Final = (12.0, 8.5)
"""Four panels."""


# A figure as a file: PNG, SVG or PDF, by its suffix.

_DPI: Final = 130


def save(figure: "Figure", path: str) -> None:
    """Draw in memory, then write: PDF needs seeking, which pipes do not support.

    Raises:
        OSError: it cannot be written.
    """
    drawn = BytesIO()
    figure.savefig(drawn, format=Path(path).suffix[1:].lower(), dpi=_DPI)
    with replaced(path) as file:
        file.write(drawn.getbuffer())
