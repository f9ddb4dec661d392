"""What the desk told, for a person: as text in a terminal, as HTML in a notebook, as data."""

import json
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from .wire import Explanation, Me, Refusal

_STYLE = (
    "border-collapse:collapse;color:inherit;background:transparent;font-size:0.9em;text-align:left"
)
_CELL = "padding:0.25em 0.8em;border-bottom:1px solid rgba(128,128,128,0.35);text-align:left"
_RED, _GREEN, _DIM, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[0m"


def visible(text: str) -> str:
    """Return text without characters that could move a terminal's cursor."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def where(refusal: Refusal) -> str:
    """Return what was tried, as a person would write it."""
    if refusal.name and not refusal.address:
        return visible(refusal.name)
    host = f"[{refusal.address}]" if ":" in refusal.address else refusal.address
    port = "" if refusal.port is None else f":{refusal.port}"
    place = f"{refusal.protocol} {host}{port}".strip()
    # A name that somebody else than the workspace's own resolver was asked for.
    return visible(f"{refusal.name} ({place})" if refusal.name else place)


def _clock(moment: str) -> str:
    return visible(moment[11:19] or moment)


@dataclass(frozen=True)
class RefusalsView:
    """Refusals, newest last."""

    refusals: tuple[Refusal, ...]
    lost: int
    total: int

    def data(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        listed = [asdict(each) for each in self.refusals]
        return {"refusals": listed, "lost": self.lost, "total": self.total}

    def text(self, *, colour: bool = False) -> str:
        """Return one paragraph for each refusal."""
        if not self.refusals:
            return "Nothing was refused in this workspace so far."
        red, dim, plain = (_RED, _DIM, _PLAIN) if colour else ("", "", "")
        lines = []
        for each in self.refusals:
            times = "once" if each.count == 1 else f"{each.count:,} times"
            lines += [
                f"{_clock(each.last)}  {red}{where(each)}{plain}  {dim}{times}{plain}",
                f"          {visible(each.sentence)} {dim}({visible(each.rule)}){plain}",
            ]
            if each.todo:
                lines.append(f"          -> {visible(each.todo)}")
        return "\n".join([*lines, "", self._summary()])

    def _summary(self) -> str:
        lost = f"; of {self.lost:,} only the number is known" if self.lost else ""
        return f"{self.total:,} attempts were refused in all{lost}. Times are UTC."

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        if not self.refusals:
            return f"<p>{escape(self.text())}</p>"
        head = ("When (UTC)", "What", "Times", "Why", "What to do")
        rows = [
            (
                _clock(each.last),
                where(each),
                f"{each.count:,}",
                f"{visible(each.sentence)} ({visible(each.rule)})",
                visible(each.todo),
            )
            for each in self.refusals
        ]
        return _table(head, rows) + f"<p>{escape(self._summary())}</p>"


@dataclass(frozen=True)
class ExplanationView:
    """What would become of an attempt."""

    explanation: Explanation

    @property
    def allowed(self) -> bool:
        """Whether it would pass."""
        return self.explanation.outcome == "allowed"

    def data(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self.explanation)

    def text(self, *, colour: bool = False) -> str:
        """Return the answer in two or three lines."""
        said = self.explanation
        mark = (_GREEN if self.allowed else _RED) if colour else ""
        plain = _PLAIN if colour else ""
        lines = [
            f"{mark}{visible(said.target)}: {said.outcome}{plain}",
            f"{visible(said.sentence)} ({visible(said.rule)})",
        ]
        return "\n".join([*lines, f"-> {visible(said.todo)}"] if said.todo else lines)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        said = self.explanation
        rows = [
            (visible(said.target), said.outcome),
            ("why", f"{visible(said.sentence)} ({visible(said.rule)})"),
        ]
        return _table((), [*rows, ("what to do", visible(said.todo))] if said.todo else rows)


@dataclass(frozen=True)
class MeView:
    """Under which grant this workspace runs."""

    me: Me

    def data(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self.me)

    def text(self, *, colour: bool = False) -> str:  # noqa: ARG002 - as the others
        """Return one line for each fact."""
        return "\n".join(
            f"{name.replace('_', ' '):<14}{visible(str(said))}"
            for name, said in asdict(self.me).items()
        )

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        facts = asdict(self.me).items()
        return _table((), [(name.replace("_", " "), visible(str(said))) for name, said in facts])


def as_json(view: RefusalsView | ExplanationView | MeView) -> str:
    """Return a view as JSON."""
    return json.dumps(view.data(), ensure_ascii=False, indent=2)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    # Colours are inherited, so that the table reads well on dark pages too.
    top = "".join(f'<th style="{_CELL}">{escape(each)}</th>' for each in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(each)}</td>' for each in row) + "</tr>"
        for row in rows
    )
    return f'<table style="{_STYLE}"><tr>{top}</tr>{body}</table>'
