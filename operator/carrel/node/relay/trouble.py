"""What the loopback services say when something is wrong that is no matter of the policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol


class Words(Protocol):
    """A refusal, in words for the person who tried."""

    @property
    def rule(self) -> str:
        """Stable name of the rule."""
        ...

    @property
    def sentence(self) -> str:
        """What was refused."""
        ...

    @property
    def todo(self) -> str:
        """What the person can do."""
        ...


class Trouble(StrEnum):
    """The rule of each; names never change, because records bear them."""

    METHOD = "mirror.method_not_allowed"
    BODY = "mirror.body_not_allowed"
    PATH = "mirror.path_not_known"
    NOT_THERE = "mirror.package_not_there"
    NO_MIRROR = "mirror.site_has_none"
    UPSTREAM = "mirror.site_mirror_failed"
    RECORDER = "mirror.recorder_is_away"
    BUDGET = "mirror.budget_not_kept"


@dataclass(frozen=True)
class Told:
    """A refusal of one of these rules."""

    rule: str
    sentence: str
    todo: str


_ADMINISTRATOR = "Try again in a minute; if it stays so, tell the administrator of the platform."

TROUBLE: Mapping[Trouble, Told] = MappingProxyType(
    {
        rule: Told(rule, sentence, todo)
        for rule, sentence, todo in (
            (
                Trouble.METHOD,
                "The mirror gives packages and takes nothing: only GET and HEAD are answered.",
                "Results leave a workspace by an export request, not by an upload.",
            ),
            (
                Trouble.BODY,
                "The mirror takes no content and changes to no other protocol.",
                "Results leave a workspace by an export request, not by an upload.",
            ),
            (
                Trouble.PATH,
                "The mirror knows /simple/PACKAGE/ and the files of packages, and nothing else.",
                "Install packages with pip or uv as they are set up here.",
            ),
            (
                Trouble.NOT_THERE,
                "The package is listed, but the site's mirror has no such package or file.",
                "Look for a typing error, or choose another version.",
            ),
            (
                Trouble.NO_MIRROR,
                "The package is listed, but this site runs no mirror to fetch it from.",
                "Tell the administrator of the platform: the chart's mirror.service is Absent.",
            ),
            (
                Trouble.UPSTREAM,
                "The site's mirror did not answer as it should.",
                _ADMINISTRATOR,
            ),
            (
                Trouble.RECORDER,
                "Nothing is let through while nobody can record what is refused.",
                _ADMINISTRATOR,
            ),
            (
                Trouble.BUDGET,
                "Nothing is let through while it cannot be counted.",
                _ADMINISTRATOR,
            ),
        )
    }
)
"""The words of each rule."""
