"""What the desk of a workspace answers.

Generated from operator/carrel/kinds/desk.py by `carrel generate`; edit the models there.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Equal attempts that were refused, counted together."""

    first: str
    """When the first was refused (RFC 3339)."""
    last: str
    """When the last was refused (RFC 3339)."""
    count: int
    """How many there were."""
    protocol: str
    """Protocol, such as tcp, udp or icmp."""
    address: str
    """Address that was tried; empty where there was none."""
    port: int | None
    """Port that was tried, where the protocol has ports."""
    name: str | None
    """Name or package that was asked for, where one was."""
    layer: str
    """What refused: the lock, the device, the resolver or the package mirror."""
    rule: str
    """Stable name of the rule."""
    sentence: str
    """What was refused, and under which policy."""
    todo: str
    """What the researcher can do."""


@dataclass(frozen=True)
class Explanation:
    """Answer of /v1/explain: what would become of an attempt."""

    target: str
    """What was asked about."""
    outcome: str
    """Whether it would pass."""
    rule: str
    """Stable name of the rule that decides."""
    sentence: str
    """What is decided, and under which policy."""
    todo: str
    """What the researcher can do; empty where it is allowed."""


@dataclass(frozen=True)
class Me:
    """Answer of /v1/me: under which grant this workspace runs."""

    grant: str
    """Name of the AccessGrant."""
    workspace: str
    """Name of the Workspace."""
    researcher: str
    """The person, as the identity provider names them."""
    expires: str
    """When the grant ends (RFC 3339, UTC); until then it may still be narrowed or revoked."""
    policy: str
    """Name of the EgressPolicy."""
    policy_title: str
    """What people call it."""
