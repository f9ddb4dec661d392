"""What a build tells while it runs, and how long it is likely to last."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from carrel.embedded.images.recipes import RECIPES, ImageName


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of progress."""

    image: ImageName
    """The image being worked on."""
    text: str
    """What is done now, in a few words."""
    seconds_left: float | None
    """Until all that was asked for is built, as the last build on this machine took; or unknown."""


class Progress(Protocol):
    """Whoever wants to hear of it: a terminal, a test, nobody."""

    def __call__(self, step: Step) -> None:
        """Take one step; must not block."""


class Pace:
    """Remembers how long each image took here, so that the time left is this machine's."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def seconds(self, name: ImageName) -> float:
        """Return how long `name` takes to build."""
        return self._read().get(name, RECIPES[name].expected_seconds)

    def left(self, names: Iterable[ImageName], *, spent: float) -> float:
        """Return the seconds that `names` still take when `spent` went into the first of them."""
        pending = [self.seconds(name) for name in names]
        if not pending:
            return 0.0
        return max(pending[0] - spent, 1.0) + sum(pending[1:])

    def remember(self, name: ImageName, seconds: float) -> None:
        """Keep the latest: the next build mostly repeats what the last one had to do."""
        known = self._read()
        known[name] = round(seconds, 1)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(known, sort_keys=True))

    def _read(self) -> dict[ImageName, float]:
        try:
            stored: Mapping[str, float] = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {ImageName(name): float(s) for name, s in stored.items() if name in RECIPES}
