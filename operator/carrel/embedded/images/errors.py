"""The one error of image building."""

from carrel.embedded.errors import EmbeddedError


class ImageError(EmbeddedError):
    """An image was not built or pushed; the text says what was missing and what to do next."""

    def __init__(self, rule: str, *, found: str, next_step: str) -> None:
        super().__init__(f"{rule}: {found}. {next_step}")
        self.rule = rule
        """What has to hold."""
        self.found = found
        """What was found instead."""
        self.next_step = next_step
        """What the reader does about it."""
