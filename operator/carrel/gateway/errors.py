"""What goes wrong at the front door."""


class GatewayError(Exception):
    """Something at the front door failed; the message says rule and what to do."""


class StateError(GatewayError):
    """Sessions or spent bytes cannot be kept."""


class ProviderAwayError(GatewayError):
    """The identity provider does not answer, or answers nonsense."""
