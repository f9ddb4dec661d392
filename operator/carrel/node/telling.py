"""What the recorder says of refused packets: records for the ledger, a list for the researcher."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from carrel.ledger import Activity, Event, Key
from carrel.node.account import Harvest, Rest, Tally, group_of
from carrel.node.canaries import is_canary
from carrel.node.flow import Direction, Flow, read_question
from carrel.node.handover import Binding
from carrel.node.protocols import name_of
from carrel.rules.egress import EgressRules, refused_packet
from carrel.rules.egress_attempt import Connection

LATEST = 200
"""Refusals that a researcher is shown."""


def event(
    binding: Binding,
    activity: Activity,
    *,
    now: datetime,
    detail: dict[str, str | int],
    name: str | None = None,
    key: Key | None = None,
) -> Event:
    """Return a record about one pod; a name that was looked up is sealed, or left out."""
    sealed = {"name": key.seal(name, field="name")} if name is not None and key else None
    return Event(
        activity=activity,
        time=now,
        actor="node-recorder",
        grant=binding.grant or None,
        grant_uid=binding.grant_uid or None,
        workspace=binding.workspace or None,
        pod_uid=binding.pod_uid,
        node=binding.node,
        detail=detail,
        sealed=sealed,
    )


@dataclass(frozen=True)
class Word:
    """One thing to record of a window."""

    activity: Activity
    detail: dict[str, str | int]
    name: str | None = None
    """The name that was looked up."""


def words_of(harvest: Harvest, *, socket: int) -> Iterator[Word]:
    """Return what is to be recorded of a window; `socket` is the inode number of its log."""
    for flow, tally in harvest.flows.items():
        yield _word(flow, tally, socket=socket)
    for group, rest in harvest.rest.items():
        yield Word(Activity.TRAFFIC_DENIED, _rest(rest) | {"group": group, "socket": socket})
    for group, count in harvest.lost.items():
        detail: dict[str, str | int] = {"count": count, "group": group, "socket": socket}
        yield Word(Activity.TRAFFIC_LOST, detail)


def _word(flow: Flow, tally: Tally, *, socket: int) -> Word:
    detail: dict[str, str | int] = {
        "layer": _layer(flow),
        "direction": flow.direction.value,
        "protocol": name_of(flow.protocol),
        "address": flow.address,
        "count": tally.count,
        "first": moment(tally.first),
        "last": moment(tally.last),
        "group": group_of(flow),
        "socket": socket,
    }
    if flow.port is not None:
        detail["port"] = flow.port
    if flow.user is not None:
        detail["user"] = flow.user
    if not flow.question:
        return Word(Activity.TRAFFIC_DENIED, detail)
    question = read_question(flow.question)
    if question.type is not None:
        detail["type"] = question.type
    return Word(Activity.TRAFFIC_DENIED, detail, question.name)


def _rest(rest: Rest) -> dict[str, str | int]:
    return {
        "layer": "network",
        "protocol": "other",
        "count": rest.count,
        "flows": rest.flows,
        "first": moment(rest.first),
        "last": moment(rest.last),
    }


def _layer(flow: Flow) -> str:
    return "wire" if flow.direction is Direction.WIRE else "network"


def _is_housekeeping(detail: Mapping[str, str | int]) -> bool:
    """Tell whether a kernel asked its own neighbourhood, which nobody told it to."""
    if "user" in detail or detail.get("protocol") not in {"icmpv6", "igmp"}:
        return False
    with suppress(ValueError):
        return ip_address(str(detail.get("address"))).is_multicast
    return False


def moment(value: datetime) -> str:
    """Return a moment in UTC to the millisecond (RFC 3339)."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Refusals:
    """The latest refusals of one pod, for the researcher's own eyes."""

    def __init__(self, path: Path, *, policy: EgressRules) -> None:
        self._path = path
        self._policy = policy
        self._latest: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._total = 0
        self._lost = 0
        self._changed = False

    def rebind(self, policy: EgressRules) -> None:
        """Explain from now on by another policy."""
        self._changed = self._changed or policy != self._policy
        self._policy = policy

    def clear(self) -> None:
        """Begin anew: what was refused so far were attempts of the gate, not of the researcher."""
        self._latest.clear()
        self._total = self._lost = 0
        self._changed = True

    def add(self, word: Word) -> None:
        """Take in what is recorded; what wanted in is no refusal of the researcher's."""
        count, detail = int(word.detail.get("count", 0)), word.detail
        if word.activity is Activity.TRAFFIC_LOST:
            self._lost += count
            self._changed = True
            return
        if detail.get("direction") == "in" or is_canary(word.name) or _is_housekeeping(detail):
            return
        self._total += count
        self._changed = True
        shown = {
            "first": detail["first"],
            "last": detail["last"],
            "count": count,
            "protocol": detail.get("protocol", ""),
            "address": detail.get("address", ""),
            "port": detail.get("port"),
            "name": word.name,
            "layer": detail.get("layer", "network"),
            "rule": detail.get("rule", ""),
            "sentence": detail.get("sentence", ""),
            "todo": detail.get("todo", ""),
        }
        key = tuple(
            shown[each] for each in ("protocol", "address", "port", "name", "layer", "rule")
        )
        before = self._latest.pop(key, None)
        if before is not None:
            shown |= {"first": before["first"], "count": before["count"] + count}
        self._latest[key] = shown
        while len(self._latest) > LATEST:
            del self._latest[next(iter(self._latest))]

    def write(self) -> None:
        """Replace the file, whole or not at all, if something changed. Raises OSError."""
        if not self._changed:
            return
        content = {
            "refusals": [self._explained(each) for each in self._latest.values()],
            "lost": self._lost,
            "total": self._total,
        }
        arriving = self._path.with_name(f".{self._path.name}")
        arriving.write_text(json.dumps(content))
        arriving.replace(self._path)
        self._changed = False

    def _explained(self, shown: dict[str, Any]) -> dict[str, Any]:
        if shown["rule"]:
            return shown
        # Of packets the kernel says where they wanted to go; why not is decided where all ask.
        attempt = Connection(
            protocol=shown["protocol"], address=shown["address"], port=shown["port"]
        )
        ruling = refused_packet(attempt, self._policy)
        return shown | {
            "rule": ruling.rule.value,
            "sentence": ruling.sentence,
            "todo": ruling.todo,
        }

    def remove(self) -> None:
        """Take the list away; its pod is gone."""
        for path in (self._path, self._path.with_name(f".{self._path.name}")):
            with suppress(OSError):
                path.unlink()
