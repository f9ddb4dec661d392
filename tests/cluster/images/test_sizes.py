"""The sizes in the reference are those of the images that are built."""

import re
from pathlib import Path

import pytest

from carrel.embedded.images import ImageName, Places, build

pytestmark = [pytest.mark.root, pytest.mark.image]

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "images.md"
ROW = re.compile(r"^\| `(\w+)` \| ([\d,]+) MB \|", flags=re.MULTILINE)


def test_the_reference_tells_the_size_of_every_image(places: Places):
    told = {name: int(size.replace(",", "")) for name, size in ROW.findall(PAGE.read_text())}
    built = build(list(ImageName), places=places, progress=lambda _: None)
    measured = {image.name.value: image.size / 1e6 for image in built}
    assert told == pytest.approx(measured, rel=0.05)
