"""Pages of the front door as text: every word from outside is escaped, nothing is inline."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from html import escape
from urllib.parse import quote

from carrel.rules.front_door import Refused
from carrel.rules.front_door_progress import Progress, Stage, StepState

STYLE, PROGRESS, FRAME = "/.carrel/door.css", "/.carrel/progress.js", "/.carrel/frame.js"
"""Files that the gateway itself serves at every origin of the front door."""

_WATCHED = (
    "Everything that this workspace sends to your browser is measured and recorded; what leaves "
    "must be released. What you see on the screen is in your care."
)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One workspace in a person's list."""

    workspace: str
    """Name of the workspace."""
    grant: str
    """Name of the grant."""
    project: str
    """Project of the grant."""
    purpose: str
    """What the data may be used for."""
    datasets: tuple[str, ...]
    """Names of the dataset versions."""
    ends: datetime | None
    """When the grant ends; None where the grant is gone."""
    progress: Progress
    """Where it is."""


@dataclass(frozen=True, kw_only=True)
class Links:
    """Where a page leads."""

    open: str
    """Opens the workspace."""
    start: str
    """Starts one that is stopped; empty where nobody can from here."""


def list_page(desks: Iterable[tuple[Desk, Links]], *, now: datetime) -> str:
    """Return the first page: a person's workspaces, days left and state."""
    shown = "".join(_desk(desk, links, now=now) for desk, links in desks)
    empty = (
        '<p class="empty">You hold no grant now. When a data access committee approves one for '
        "you, it is listed here.</p>"
    )
    return _page(
        "Your workspaces", f"<h1>Your workspaces</h1>{shown or empty}{_LOGOUT}", scripts=()
    )


def progress_page(desk: Desk, links: Links) -> str:
    """Return the page of a workspace that is not open: its steps, or why it is not."""
    start = (
        f'<p><a class="button" href="{escape(links.start)}">Start</a></p>'
        if desk.progress.stage is Stage.STOPPED and links.start
        else ""
    )
    body = (
        f'{_BACK}<main id="desk" data-events="{_path(desk.workspace)}/events" '
        f'data-open="{escape(links.open)}"><h1>{escape(desk.grant)}</h1>'
        f'<div id="state" role="status" aria-live="polite">{progress_part(desk.progress)}</div>'
        f"{start}</main>"
    )
    return _page(desk.grant, body, scripts=(PROGRESS,))


def progress_part(progress: Progress) -> str:
    """Return what a page about a workspace shows of its state; scripts put it in place again."""
    marks = {StepState.DONE: "done", StepState.NOW: "now", StepState.LATER: "later"}
    steps = "".join(
        f'<li class="{marks[step.state]}"><b>{escape(step.title)}</b> '
        f'<span class="word">{marks[step.state]}</span>'
        + (f"<p>{escape(step.sentence)}</p>" if step.sentence else "")
        + "</li>"
        for step in progress.steps
    )
    listed = f'<ol class="steps">{steps}</ol>' if steps else ""
    todo = f'<p class="todo">{escape(progress.todo)}</p>' if progress.todo else ""
    return f'<p class="sentence">{escape(progress.sentence)}</p>{listed}{todo}'


def frame_page(desk: Desk, *, enter: str, now: datetime, warning: str) -> str:
    """Return the page that shows a workspace inside a sandboxed frame.

    Parameters
    ----------
    desk
        The workspace.
    enter
        Address at the workspace's own origin, with a one-time code.
    now
        When.
    warning
        A sentence about the day's budget; empty without one.
    """
    held = "" if warning else " hidden"
    body = (
        f'<div id="desk" class="frame" data-events="{_path(desk.workspace)}/events">'
        f'<header class="bar"><a href="/">Your workspaces</a><b>{escape(desk.grant)}</b>'
        f"<span>{escape(days_left(desk.ends, now=now))}</span>"
        f'<span class="watched" title="{escape(_WATCHED)}">measured and recorded</span></header>'
        f'<p id="warning" role="status"{held}>{escape(warning)}</p>'
        # What the sandbox leaves out (popups, top navigation, downloads) a page cannot take back.
        f'<iframe id="lab" title="JupyterLab of {escape(desk.grant)}" src="{escape(enter)}" '
        'sandbox="allow-scripts allow-same-origin allow-forms allow-modals" '
        'referrerpolicy="no-referrer"></iframe>'
        '<main id="ended" role="alert" hidden></main></div>'
    )
    return _page(desk.grant, body, scripts=(FRAME,))


def refusal_page(refused: Refused, *, home: str) -> str:
    """Return a page that says why, and what to do."""
    todo = f'<p class="todo">{escape(refused.todo)}</p>' if refused.todo else ""
    link = f'<p><a href="{escape(home)}" target="_top">Your workspaces</a></p>' if home else ""
    body = (
        f'<main><h1>This does not go</h1><p class="sentence">{escape(refused.sentence)}</p>{todo}'
        f'{link}<p class="rule">Rule: <code>{escape(refused.rule)}</code></p></main>'
    )
    return _page("This does not go", body, scripts=())


def left_page(*, onward: str) -> str:
    """Return the page of a person who logged out."""
    body = (
        "<main><h1>You are logged out</h1><p>Every open workspace was closed; what runs goes on "
        f'until it is stopped.</p><p><a class="button" href="{escape(onward)}">Log in</a></p>'
        "</main>"
    )
    return _page("Logged out", body, scripts=())


def days_left(ends: datetime | None, *, now: datetime) -> str:
    """Return how long a grant still holds, in words."""
    if ends is None or ends <= now:
        return "ended"
    hours = int((ends - now).total_seconds() // 3600)
    if hours < 1:
        return "less than an hour left"
    if hours < 48:
        return f"{hours} hours left" if hours > 1 else "1 hour left"
    return f"{hours // 24} days left"


def portal_policy(*, frames: str = "'none'") -> str:
    """Return the policy of the portal's own pages (CSP level 3); `frames` is one origin."""
    directives = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "frame-src": frames,
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "carrel",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


_BACK = '<nav><a href="/">Your workspaces</a></nav>'
_LOGOUT = '<form method="post" action="/logout"><button class="quiet">Log out</button></form>'


def _desk(desk: Desk, links: Links, *, now: datetime) -> str:
    word = {
        Stage.OPEN: "ready",
        Stage.WAITING: "on its way",
        Stage.STOPPED: "stopped",
        Stage.ENDED: "closed",
    }[desk.progress.stage]
    action = ""
    if desk.progress.stage is Stage.STOPPED and links.start:
        action = f'<a class="button" href="{escape(links.start)}">Open</a>'
    elif desk.progress.stage in {Stage.OPEN, Stage.WAITING}:
        action = f'<a class="button" href="{escape(links.open)}">Open</a>'
    data = "".join(f"<li>{escape(each)}</li>" for each in desk.datasets)
    todo = f" {escape(desk.progress.todo)}" if desk.progress.stage is not Stage.OPEN else ""
    return (
        f'<article class="{word.split(" ", 1)[0]}"><header><h2>{escape(desk.grant)}</h2>'
        f'<span class="state">{word}</span></header>'
        f"<p>{escape(desk.project)} · {escape(days_left(desk.ends, now=now))}</p>"
        f"<p>{escape(desk.purpose)}</p><ul>{data}</ul>"
        f'<p class="sentence">{escape(desk.progress.sentence)}{todo}</p>{action}</article>'
    )


def _path(workspace: str) -> str:
    return f"/workspaces/{quote(workspace, safe='')}"


def _page(title: str, body: str, *, scripts: tuple[str, ...]) -> str:
    loaded = "".join(f'<script src="{each}" defer></script>' for each in scripts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)} · Carrel</title>"
        f'<link rel="stylesheet" href="{STYLE}">{loaded}</head><body>{body}</body></html>'
    )
