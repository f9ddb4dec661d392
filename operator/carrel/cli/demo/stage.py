"""Stages of a long story: each has a title, a result in one sentence, and a time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class StageTime:
    """How long a stage took and what came of it."""

    title: str
    """What was done."""
    seconds: float
    """How long it took."""
    result: str
    """What came of it, in one sentence."""


@dataclass
class Stages:
    """Runs stages one after another and remembers their times.

    Not frozen: it is the log of a story while it is being told.
    """

    console: Console
    done: list[StageTime] = field(default_factory=list)

    @contextmanager
    def stage(self, title: str) -> Iterator[Callable[[str], None]]:
        """Announce a stage; the caller says its result before the end."""
        self.console.print(f"[bold]{len(self.done) + 1}. {title}[/bold]")
        results: list[str] = []
        began = time.monotonic()
        yield results.append
        seconds = time.monotonic() - began
        result = results[-1] if results else "done"
        self.done.append(StageTime(title=title, seconds=seconds, result=result))
        self.console.print(f"   {result} [dim]({seconds:.1f} s)[/dim]")

    def table(self) -> Table:
        """Return what was done, with times."""
        table = Table(title="What was done", title_justify="left", expand=False)
        table.add_column("Stage")
        table.add_column("Seconds", justify="right")
        table.add_column("Result")
        for entry in self.done:
            table.add_row(entry.title, f"{entry.seconds:.1f}", entry.result)
        total = sum(entry.seconds for entry in self.done)
        table.add_row("[bold]Total[/bold]", f"[bold]{total:.1f}[/bold]", "")
        return table
