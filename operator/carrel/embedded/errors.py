"""The one exception that the embedded cluster shows to a person."""


class EmbeddedError(Exception):
    """A refusal or failure in one sentence: what is wrong, with which input, what to do next."""
