"""Sketches between processes, as JSON values."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from carrel.dicom.frames import Decoding, Pixels
from carrel.dicom.sketch import Sketch


def sketch_to_wire(sketch: Sketch) -> dict[str, Any]:
    """Return a sketch as JSON values."""
    return asdict(sketch)


def sketch_from_wire(wire: Mapping[str, Any]) -> Sketch:
    """Read what `sketch_to_wire` wrote; fields of another version are left out."""
    known = {field.name for field in fields(Sketch)} - {"pixels"}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in wire.items()
        if name in known
    }
    pixels = wire["pixels"]
    return Sketch(**values, pixels=Pixels(**{**pixels, "decoding": Decoding(pixels["decoding"])}))
