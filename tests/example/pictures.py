"""Pictures to send: good ones in many formats, and bad ones of every kind."""

import io
import struct
import zlib
from typing import Any

from PIL import Image

from tracebench.example import picture

COFFEE = picture()
NOT_SENT = b""


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(width: int, height: int, colour: tuple[int, int, int] = (191, 127, 63)) -> bytes:
    return encoded(Image.new("RGB", (width, height), colour), "PNG")


def coffee(mode: str, kind: str) -> bytes:
    with Image.open(io.BytesIO(COFFEE)) as opened:
        return encoded(opened.convert(mode), kind)


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"

BAD = {
    "empty": (NOT_SENT, "the image is empty"),
    "text": (b"good morning", "the image is not one of PNG, JPEG, WEBP, GIF, BMP, TIFF"),
    "program": (EPS, "the image is not one of PNG, JPEG, WEBP, GIF, BMP, TIFF"),
    "zeros": (bytes(4096), "the image is not one of PNG, JPEG, WEBP, GIF, BMP, TIFF"),
    "truncated png": (COFFEE[:100_000], "the image cannot be decoded"),
    "truncated jpeg": (coffee("RGB", "JPEG")[:9_000], "the image cannot be decoded"),
    "header only": (COFFEE[:33], "the image is not one of PNG"),
    "16 bits": (
        encoded(Image.new("I;16", (9, 9), 40_000), "PNG"),
        "the image has more than 8 bits",
    ),
    "large": (claiming(10_000, 5_001), "the image has 10000 x 5001 pixels, more than 50,000,000"),
    "bomb": (claiming(60_000, 60_000), "the image cannot be decoded"),
}
"""What it is → (content, how the answer begins)."""
