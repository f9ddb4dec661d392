"""The report of a week: what an auditor reads first, as figures and as a page."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from carrel.audit.index import Index
from carrel.audit.proof import Proof
from carrel.audit.query import LARGEST_PAGE, By, Hit, Order, Query
from carrel.audit.row import Decision
from carrel.audit.shown import cell, inert, markup
from carrel.audit.story import Moment, moment_of, place_of, sentence, told
from carrel.ledger.event import Activity

_ADMINISTRATION = (Activity.ADMINISTRATOR_ACTED.value, Activity.POD_ENTERED.value)
_ALARMS = (
    Activity.LOCK_TAMPERED.value,
    Activity.GATE_REFUSED.value,
    Activity.GAP.value,
    Activity.AUDIT_LOG_UNREADABLE.value,
    Activity.SEALED_READ.value,
    Activity.KEY_DELETED.value,
)
_USE = (
    Activity.GRANT_ADMITTED.value,
    Activity.WORKSPACE_STARTED.value,
    Activity.WORKSPACE_CLOSED.value,
)
_ROWS = 500
"""Rows of a table; the CSV beside the page holds everything."""

Counts = Sequence[tuple[tuple[str, ...], int]]


@dataclass(frozen=True)
class Report:
    """What is in the report of a period."""

    since: datetime
    until: datetime
    attempts: Counts
    """Refused: person, grant, what, and how often."""
    hosts: Counts
    """Where refused attempts went: address or blind index, and how often."""
    use: tuple[Moment, ...]
    administration: tuple[Moment, ...]
    alarms: tuple[Moment, ...]
    proof: Proof | None
    """None where it was not asked for."""


def gathered(index: Index, *, since: datetime, until: datetime, proof: Proof | None) -> Report:
    """Return the report of a period from an index that is up to date.

    Raises:
        QueryTimeoutError: when a count takes too long.

    """

    def moments(activities: Sequence[str]) -> tuple[Moment, ...]:
        query = Query(
            since=since,
            until=until,
            activities=tuple(activities),
            order=Order.OLDEST,
            limit=_ROWS,
        )
        return tuple(told(index.search(query).hits))

    refused = Query(since=since, until=until, decision=Decision.REFUSED, limit=_ROWS)
    return Report(
        since=since,
        until=until,
        attempts=index.counted((By.PERSON, By.GRANT, By.ACTIVITY), refused),
        hosts=[each for each in index.counted((By.HOST, By.GRANT), refused) if each[0][0]],
        use=moments(_USE),
        administration=moments(_ADMINISTRATION),
        alarms=moments(_ALARMS),
        proof=proof,
    )


def rows_csv(hits: Iterable[Hit]) -> Iterable[str]:
    """Yield the lines of a CSV with every record of a question, header first."""
    columns = ("time", "decision", "activity", "person", "grant", "workspace", "what", "where")
    yield _line(columns)
    for hit in hits:
        said = hit.stored.said
        yield _line(
            (
                moment_of(hit).isoformat(timespec="milliseconds"),
                hit.decision.value,
                str(said.get("activity", "")),
                hit.person,
                str(said.get("grant", "")),
                str(said.get("workspace", "")),
                sentence(hit),
                place_of(hit),
            )
        )


def everything(*, since: datetime, until: datetime) -> Query:
    """Return the question for all that the CSV of a period holds."""
    quiet = {
        Activity.HEARTBEAT,
        Activity.CHAIN_OPENED,
        Activity.CHAIN_CLOSED,
        Activity.AUDIT_LOG_FORWARDED,
    }
    return Query(
        since=since,
        until=until,
        activities=tuple(each.value for each in Activity if each not in quiet),
        order=Order.OLDEST,
        limit=LARGEST_PAGE,
    )


def _line(values: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([cell(value) for value in values])
    return text.getvalue()


_STYLE = """
:root { color-scheme: light dark; --line: #8886; --bad: #b3261e; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: GrayText; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.refused, li.fault { color: var(--bad); font-weight: 600; }
time { white-space: nowrap; font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; } }
@media print { body { max-width: none; margin: 0; } h2 { break-after: avoid; }
  tr { break-inside: avoid; } }
"""


def page(report: Report) -> str:
    """Return the report as one HTML page without scripts and without anything from elsewhere."""
    title = f"Audit report, {report.since:%d %B %Y} to {report.until:%d %B %Y}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        (
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        ),
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{markup(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{markup(title)}</h1>",
        "<p>Times are UTC. People are opaque ids; the register of people is kept elsewhere.</p>",
        *_proof_section(report.proof),
        *_counts("Refused attempts", ("Person", "Grant", "What", "Attempts"), report.attempts),
        *_counts("Where they went", ("Address or sealed name", "Grant", "Attempts"), report.hosts),
        *_moments("Alarms", report.alarms),
        *_moments("What administrators did", report.administration),
        *_moments("Who had data open", report.use),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _proof_section(proof: Proof | None) -> list[str]:
    head = "<h2>Is this the whole truth?</h2>"
    if proof is None:
        return [head, "<p>The log was not checked for this report.</p>"]
    verdict = "does NOT hold" if proof.faults else "holds"
    lines = [head, f"<p>{proof.records:,} records were checked. The log {verdict}.</p>", "<ul>"]
    lines += [f'<li class="fault">{markup(fault)}</li>' for fault in proof.faults]
    lines += [f"<li>{markup(text)}</li>" for text in (*proof.proven, *proof.unproven)]
    lines += [f"<li>Gap: {markup(text)}</li>" for text in proof.gaps]
    for name, receipt in proof.heads.items():
        text = f"{name} {receipt.sequence}:{receipt.digest}"
        lines.append(f"<li>Keep this receipt: <code>{markup(text)}</code></li>")
    return [*lines, "</ul>"]


def _counts(title: str, columns: Sequence[str], counts: Counts) -> list[str]:
    if not counts:
        return [f"<h2>{title}</h2>", "<p>None.</p>"]
    lines = [f"<h2>{title}</h2>", "<table>"]
    if len(counts) == _ROWS:
        lines.append(f"<caption>The {_ROWS} most frequent; all are in the CSV.</caption>")
    lines.append("<tr>" + "".join(f"<th scope=col>{name}</th>" for name in columns) + "</tr>")
    for names, total in counts:
        cells = "".join(f"<td>{markup(name) or '&ndash;'}</td>" for name in names)
        lines.append(f'<tr>{cells}<td class="number">{total:,}</td></tr>')
    return [*lines, "</table>"]


def _moments(title: str, moments: Sequence[Moment]) -> list[str]:
    if not moments:
        return [f"<h2>{title}</h2>", "<p>None.</p>"]
    lines = [f"<h2>{title}</h2>", "<table>"]
    if sum(each.records for each in moments) == _ROWS:
        lines.append(f"<caption>The first {_ROWS}; all are in the CSV.</caption>")
    for each in moments:
        refused = ' class="refused"' if each.decision is Decision.REFUSED else ""
        times = f" ({each.records} times)" if each.records > 1 else ""
        lines.append(
            f"<tr><td><time>{each.time:%Y-%m-%d %H:%M:%S}</time></td>"
            f"<td{refused}>{markup(inert(each.sentence))}{times}</td>"
            f"<td>{markup(each.where)}</td></tr>"
        )
    return [*lines, "</table>"]
