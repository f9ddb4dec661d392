"""What a workspace's desk service tells the researchers' library: JSON on the loopback address."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class DeskAnswer(BaseModel):
    """An answer of the desk; what is added later is no fault for an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Refusal(DeskAnswer):
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
    layer: Literal["network", "wire", "dns", "mirror"]
    """What refused: the lock, the device, the resolver or the package mirror."""
    rule: str
    """Stable name of the rule."""
    sentence: str
    """What was refused, and under which policy."""
    todo: str
    """What the researcher can do."""


class Refusals(DeskAnswer):
    """Answer of /v1/why: the latest refusals, oldest first."""

    refusals: tuple[Refusal, ...]
    """At most 200."""
    lost: int
    """Refused packets of which only the number is known."""
    total: int
    """Every refused packet and request."""


class Explanation(DeskAnswer):
    """Answer of /v1/explain: what would become of an attempt."""

    target: str
    """What was asked about."""
    outcome: Literal["allowed", "refused"]
    """Whether it would pass."""
    rule: str
    """Stable name of the rule that decides."""
    sentence: str
    """What is decided, and under which policy."""
    todo: str
    """What the researcher can do; empty where it is allowed."""


class Me(DeskAnswer):
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


class DeskError(DeskAnswer):
    """Answer of any other status than 200."""

    rule: str
    """Stable name of the rule."""
    sentence: str
    """What is wrong, and what to do."""
