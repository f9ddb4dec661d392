"""Which page asks: a workspace's own, the portal's frame, or a stranger."""

from dataclasses import dataclass

from carrel.rules.front_door import SOCKETS, Refused, Traffic


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Who asked, as the browser says it: headers that no page can set (Fetch, section 3)."""

    method: str
    """Method."""
    traffic: Traffic
    """What is asked for."""
    host: str
    """Header `Host`."""
    origin: str = ""
    """Header `Origin`; empty without one."""
    site: str = ""
    """Header `Sec-Fetch-Site`; empty without one."""
    destination: str = ""
    """Header `Sec-Fetch-Dest`; empty without one."""


class Shown:
    """The page may be shown here."""


class ShownAlone:
    """The page was visited by itself: it is shown inside the portal's frame instead."""


def judge_provenance(asked: Provenance, *, own: str, portal: str) -> Shown | ShownAlone | Refused:
    """Tell pages of this workspace from every other, also from its siblings.

    Workspaces and the portal are one site to a browser, so that SameSite cookies do not part
    them; origins do. A request without the browser's own word is no browser's.
    """
    if asked.host != own.removeprefix("https://"):
        return _foreign("host_is_another", "This address is another workspace's.")
    if asked.origin and asked.origin != own:
        return _foreign("origin_is_foreign", "Pages of another origin may not ask here.")
    if asked.traffic in SOCKETS or asked.method not in {"GET", "HEAD"}:
        # Browsers name the origin with each of these; what has none did not come from a page.
        return Shown() if asked.origin == own else _foreign("origin_is_missing", _MISSING)
    return _read_by(asked) or _foreign("page_is_foreign", f"Open the workspace from {portal}.")


def _read_by(asked: Provenance) -> Shown | ShownAlone | None:
    if asked.site == "same-origin":
        return Shown()
    if asked.traffic is not Traffic.PAGE:
        return None
    if asked.destination == "document":
        return ShownAlone()
    # Which page frames it is for frame-ancestors: only the browser knows.
    framed = asked.destination == "iframe" and asked.site == "same-site"
    return Shown() if framed else None


_MISSING = "A browser says which page asks; this request does not."


def _foreign(rule: str, sentence: str) -> Refused:
    return Refused(rule=rule, status=403, sentence=sentence)
