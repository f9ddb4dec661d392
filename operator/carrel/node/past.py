"""What the recorder's own chain says of pods: where a recorder that was killed goes on."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carrel.ledger import Activity
from carrel.node.account import Destination, Past
from carrel.node.protocols import number_of
from carrel.render.nft import GROUP, WIRE_GROUP

_ABOUT = tuple(
    f'"{activity}"'.encode()
    for activity in (
        Activity.TRAFFIC_DENIED,
        Activity.TRAFFIC_LOST,
        Activity.COUNTS_RECONCILED,
        Activity.COUNTS_RECOVERED,
    )
)


@dataclass
class _Sums:
    recorded: Counter[int] = field(default_factory=Counter)
    lost: Counter[int] = field(default_factory=Counter)
    numbered: defaultdict[int, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    base: dict[int, int] = field(default_factory=dict)
    destinations: Counter[Destination] = field(default_factory=Counter)


class Memories:
    """Sums over the records of packets, by pod."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, _Sums] = defaultdict(_Sums)

    @classmethod
    def read(cls, directory: Path) -> "Memories":
        """Sum up a chain; a second for a gigabyte of other records, ten for one of these."""
        found = cls()
        for file in sorted(directory.glob("*.jsonl")):
            with file.open("rb") as lines:
                found.add(lines)
        return found

    def add(self, lines: Iterable[bytes]) -> None:
        """Add records; lines that are none are the ledger's to judge, not ours."""
        for line in lines:
            if any(word in line for word in _ABOUT):
                try:
                    said = json.loads(line)["event"]["carrel"]
                    self._add(said["podUID"], said["activity"], said["detail"])
                except (ValueError, KeyError, TypeError):
                    continue

    def of(self, pod_uid: str, *, socket: int) -> Past:
        """Return what is known of a pod whose present socket has this inode number."""
        if pod_uid not in self._sums:
            return Past()
        sums = self._sums[pod_uid]
        return Past(
            recorded=sums.recorded,
            lost=sums.lost,
            numbered=sums.numbered[socket],
            base=sums.base,
            destinations=sums.destinations,
        )

    def _add(self, pod_uid: str, activity: str, detail: Mapping[str, Any]) -> None:
        sums = self._sums[pod_uid]
        match activity:
            case Activity.TRAFFIC_DENIED if "group" in detail:
                sums.recorded[detail["group"]] += detail["count"]
                sums.numbered[detail["socket"]][detail["group"]] += detail["count"]
                self._add_destination(sums, detail)
            case Activity.TRAFFIC_LOST if "group" in detail:
                sums.lost[detail["group"]] += detail["count"]
                sums.numbered[detail["socket"]][detail["group"]] += detail["count"]
            case Activity.COUNTS_RECOVERED:
                self._add_destination(sums, {**detail, "direction": "out"})
            case Activity.COUNTS_RECONCILED:
                sums.base = {GROUP: detail["base"], WIRE_GROUP: detail["wireBase"]}
            case _:
                return

    def _add_destination(self, sums: _Sums, detail: Mapping[str, Any]) -> None:
        if detail.get("direction") == "out" and "port" in detail and detail.get("address"):
            key = (detail["address"], number_of(detail["protocol"]), detail["port"])
            sums.destinations[key] += detail["count"]
