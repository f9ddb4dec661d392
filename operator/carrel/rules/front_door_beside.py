"""Which paths of the Hub and of the demo's identity provider browsers may reach."""

from enum import StrEnum

from carrel.rules.front_door import Refused
from carrel.rules.request_target import TargetError, read_target


class Beside(StrEnum):
    """A service of the platform with an origin of its own."""

    HUB = "Hub"
    IDENTITY = "Identity"


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_LISTED = {
    # What opens, stops and shows; tokens, groups and services are not for browsers.
    Beside.HUB: (("hub",),),
    # Login and its pages; neither the administration nor other realms.
    Beside.IDENTITY: (("realms", "carrel"), ("resources",)),
}
_NEVER = {
    Beside.HUB: (("hub", "token"), ("hub", "api", "authorizations"), ("hub", "api", "shutdown")),
    Beside.IDENTITY: (),
}


def judge_beside(beside: Beside, method: str, raw: str) -> str | Refused:
    """Return the target that the service is sent, or why there is none."""
    if method not in _METHODS:
        return Refused(rule="method_is_not_listed", status=405, sentence="Not by this method.")
    try:
        target = read_target(raw.removesuffix("?"))
    except TargetError as error:
        return Refused(rule=error.rule, status=400, sentence=error.sentence)
    parts = target.segments
    listed = any(parts[: len(each)] == each for each in _LISTED[beside])
    never = any(parts[: len(each)] == each for each in _NEVER[beside])
    if not listed or never or "tokens" in parts[2:]:
        return Refused(
            rule="path_is_not_listed",
            status=404,
            sentence="This part of the platform is not for browsers.",
            todo="Start from the portal.",
        )
    return target.text
