"""Showing a long build part by part, with the time left."""

from collections.abc import Iterable

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.progress_bar import ProgressBar
from rich.text import Text
from typing_extensions import override

from carrel.embedded import build
from carrel.embedded.parts import Part


class _Bar(ProgressColumn):
    """Moves with the estimate, full only at the end: an estimate is not a fact."""

    max_refresh = 0.5

    @override
    def render(self, task: Task) -> ProgressBar:
        total = task.total or 1.0
        gone = total if task.finished else min(task.elapsed or 0.0, total * 0.97)
        return ProgressBar(total=total, completed=gone, width=30)


class _Left(ProgressColumn):
    """Says how long is left, as far as one can know."""

    max_refresh = 0.5

    @override
    def render(self, task: Task) -> Text:
        if task.finished:
            return Text(f"done in {task.finished_time or 0:.0f} s")
        left = (task.total or 0.0) - (task.elapsed or 0.0)
        return Text(f"about {left / 60:.1f} min left" if left > 0 else "longer than expected")


def build_shown(wanted: Iterable[Part], *, console: Console) -> None:
    """Compile what is missing of `wanted`, with one line for each part that compiles."""
    absent = build.missing(wanted)
    if not absent:
        return
    expected = sum(build.expected_seconds(part) for part in absent)
    console.print(
        f"Compiling {', '.join(part.name for part in absent)}: at most "
        f"{max(expected / 60, 0.1):.1f} minutes. It may be stopped and continues from there."
    )
    lines: dict[str, TaskID] = {}
    columns = (TextColumn("  {task.description:<12}"), _Bar(), _Left())
    with Progress(*columns, console=console, refresh_per_second=2) as progress:

        def report(step: build.Step) -> None:
            name = step.part.name
            if step.took is None:
                lines[name] = progress.add_task(name, total=step.expected)
                return
            progress.update(lines[name], completed=step.expected)
            if not console.is_terminal:
                # A log shows only the last state of a line: say each end once.
                console.print(f"  {name} compiled in {step.took:.0f} s")

        build.build(absent, report=report)
