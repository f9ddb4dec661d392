"""The page of figures: what was measured, on which machine, and whether it meets its target."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

NOT_MEASURED = "no result is committed"


class Bound(StrEnum):
    """On which side of the target a figure should be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One figure of a result file and what it should be."""

    what: str
    """What is measured, with its unit."""
    file: str
    """File in tests/bench/results, without `.json`."""
    path: tuple[str, ...]
    """Keys down to the number."""
    bound: Bound
    value: float
    """What the figure should be at least, or at most."""
    counted: tuple[str, ...] = ()
    """Keys down to the number of objects that it was measured with, where the target names one."""
    count: int = 0
    """The number of objects that the target is for."""


TARGETS: tuple[Target, ...] = (
    Target(
        what="grants rendered and applied per second",
        file="operator_throughput",
        path=("operator", "grantsPerSecond"),
        bound=Bound.AT_LEAST,
        value=40,
    ),
    Target(
        what="writes of a resync in which nothing changed",
        file="operator_throughput",
        path=("operator", "resync", "writes"),
        bound=Bound.AT_MOST,
        value=0,
        counted=("operator", "grants"),
        count=2000,
    ),
    Target(
        what="operator's memory at its largest, MiB",
        file="operator_throughput",
        path=("operator", "memoryMiB", "VmHWM"),
        bound=Bound.AT_MOST,
        value=512,
        counted=("operator", "grants"),
        count=2000,
    ),
    Target(
        what="from applied to Ready, median, s",
        file="start_latency",
        path=("steps", "Ready", "p50"),
        bound=Bound.AT_MOST,
        value=8,
    ),
    Target(
        what="view of a dataset for its next researcher, median, s",
        file="dataset_views",
        path=("views", "nextResearcherSeconds", "p50"),
        bound=Bound.AT_MOST,
        value=0.2,
        counted=("views", "files"),
        count=8000,
    ),
    Target(
        what="bytes of files copied for it",
        file="dataset_views",
        path=("views", "bytesOfFilesCopied"),
        bound=Bound.AT_MOST,
        value=0,
    ),
    Target(
        what="packets that got out of starts racing their lock",
        file="racing_starts",
        path=("packetsOut",),
        bound=Bound.AT_MOST,
        value=0,
        counted=("starts",),
        count=10_000,
    ),
    Target(
        what="agent's work from namespace seen to proven, 99th percentile, ms",
        file="racing_starts",
        path=("agentMilliseconds", "p99"),
        bound=Bound.AT_MOST,
        value=150,
    ),
    Target(
        what="packets that got out while the agent was killed at random",
        file="agent_kills",
        path=("packetsOut",),
        bound=Bound.AT_MOST,
        value=0,
        counted=("kills",),
        count=300,
    ),
    Target(
        what="packets that are neither recorded nor known to be lost after those kills",
        file="agent_kills",
        path=("unaccounted",),
        bound=Bound.AT_MOST,
        value=0,
        counted=("kills",),
        count=300,
    ),
    Target(
        what="refused packets a second on one workspace",
        file="flood",
        path=("perSecond",),
        bound=Bound.AT_LEAST,
        value=200_000,
    ),
    Target(
        what="packets of that flood that are neither recorded nor known to be lost",
        file="flood",
        path=("unaccounted",),
        bound=Bound.AT_MOST,
        value=0,
    ),
    Target(
        what="change of a neighbour's refused connect in that flood, 99th percentile, %",
        file="flood",
        path=("neighbour", "refusedConnect", "p99ChangePercent"),
        bound=Bound.AT_MOST,
        value=10,
    ),
    Target(
        what="change of a neighbour's request on loopback in that flood, 99th percentile, %",
        file="flood",
        path=("neighbour", "loopbackRequest", "p99ChangePercent"),
        bound=Bound.AT_MOST,
        value=10,
    ),
)

REPEAT: Mapping[str, str] = {
    "operator_throughput": "python tests/bench/operator_throughput.py --grants 300",
    "dataset_views": "python tests/bench/dataset_views.py --files 8000",
    "start_latency": "python tests/bench/start_latency.py --starts 12",
    "racing_starts": "python tests/bench/racing_starts.py --starts 10000",
    "agent_kills": "python tests/bench/agent_kills.py --kills 300",
    "flood": "python tests/bench/flood.py --seconds 60",
}
"""How to measure again what a file holds; `make bench` runs all with the full counts."""

_HEAD = """# Figures

<!-- Generated from tests/bench/results by `carrel generate`; do not edit. -->

Measured on one machine, which other work shared where the load says so. A figure that misses its
target, or was measured with fewer objects than the target is for, stays in the table and says so.
"""


def figures_page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page; `results` are the parsed files of tests/bench/results by their stem."""
    lines = [_HEAD, "| what | target | measured | |", "|---|---|---|---|"]
    lines += [_row(target, results.get(target.file)) for target in TARGETS]
    lines += ["", "## What was run", "", "| result | machine | how to repeat |", "|---|---|---|"]
    lines += [_source(name, results[name]) for name in sorted(results)]
    return "\n".join(lines) + "\n"


def _row(target: Target, result: Mapping[str, Any] | None) -> str:
    aim = f"{target.bound} {target.value:g}"
    if target.count:
        aim += f" with {target.count:,} objects"
    measured = _at(result, target.path)
    if measured is None:
        return f"| {target.what} | {aim} | {NOT_MEASURED} | |"
    met = measured >= target.value if target.bound is Bound.AT_LEAST else measured <= target.value
    verdict = "met" if met else "**missed**"
    there = _at(result, target.counted) if target.counted else None
    if there is not None and there < target.count:
        verdict += f", but with {there:,.0f} objects of {target.count:,}"
    return f"| {target.what} | {aim} | {measured:g} | {verdict} |"


def _at(result: Mapping[str, Any] | None, path: tuple[str, ...]) -> float | None:
    found: Any = result
    for key in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    return float(found) if isinstance(found, int | float) else None


def _source(name: str, result: Mapping[str, Any]) -> str:
    machine = result.get("machine")
    said = (
        "; ".join(f"{key} {_plain(value)}" for key, value in sorted(machine.items()))
        if isinstance(machine, Mapping)
        else "not described"
    )
    link = f"[{name}](../../tests/bench/results/{name}.json)"
    repeat = REPEAT.get(name)
    return f"| {link} | {said} | {f'`{repeat}`' if repeat else 'said in the result'} |"


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_plain(each) for each in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("|", "\\|")
