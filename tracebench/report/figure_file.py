"""A figure as a file: PNG, SVG or PDF, after its suffix."""

from io import BytesIO
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from tracebench.system.output_files import replaced

_DPI: Final = 130


def save(figure: Figure, path: str) -> None:
    """Draw it whole, then write: a pipe cannot be sought in, as PDF wants.

    Raises:
        OSError: it cannot be written.
    """
    drawn = BytesIO()
    figure.savefig(drawn, format=Path(path).suffix[1:].lower(), dpi=_DPI)
    with replaced(path) as file:
        file.write(drawn.getbuffer())
