"""A picture as others see it: `python -m tools.color_vision PICTURE.png SEEN.png`.

Four pictures in one: deuteranopia, protanopia, tritanopia (Machado, Oliveira and Fernandes, "A
Physiologically-based Model for Simulation of Color Vision Deficiency", 2009, severity 1), and grey.
"""

import sys

import numpy as np
import numpy.typing as npt
from PIL import Image

Colors = npt.NDArray[np.float64]
"""Shape (…, 3): red, green, blue, each from 0 to 1."""

SIMULATED = {
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
    "grey": ((0.2126, 0.7152, 0.0722),) * 3,
}
"""Matrices on linear RGB; that of grey is the luminance of Rec. 709."""
_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_WHITE = (0.95047, 1.0, 1.08883)


def seen(colors: Colors, how: str) -> Colors:
    """Colours as seen by someone with this deficiency."""
    linear = _linear(colors) @ np.array(SIMULATED[how]).T
    return _encoded(np.clip(linear, 0, 1))


def distance(a: str, b: str, how: str = "") -> float:
    """CIE76 distance of two colours, as `#rrggbb`; 2 is just noticeable side by side."""
    pair = np.array([[int(one[at : at + 2], 16) / 255 for at in (1, 3, 5)] for one in (a, b)])
    first, second = _lab(seen(pair, how) if how else pair)
    return float(np.linalg.norm(first - second))


def _linear(colors: Colors) -> Colors:
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def _encoded(linear: Colors) -> Colors:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _lab(colors: Colors) -> Colors:
    xyz = _linear(colors) @ np.array(_XYZ).T / np.array(_WHITE)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116).T
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=-1)


def main(picture: str, out: str) -> None:
    colors = np.asarray(Image.open(picture).convert("RGB"), np.float64) / 255
    four = [seen(colors, how) for how in SIMULATED]
    sheet = np.concatenate([np.concatenate(four[:2], 1), np.concatenate(four[2:], 1)])
    Image.fromarray((255 * sheet).round().astype(np.uint8)).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
