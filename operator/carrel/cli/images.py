"""`carrel images`: build container images without Docker and push them to a registry."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from carrel.embedded.images import (
    DEPLOYED,
    BuiltImage,
    ImageError,
    ImageName,
    Places,
    Progress,
    PushedImage,
    Step,
    build,
    find_source,
    push,
)

app = typer.Typer(help="Container images, built without Docker.", no_args_is_help=True)

Names = Annotated[
    list[ImageName] | None,
    typer.Argument(help=f"Which images; without any: {', '.join(DEPLOYED)}.", show_default=False),
]
Source = Annotated[
    Path | None,
    typer.Option(help="Checkout to build from; else the one around this folder.", exists=True),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")]


@app.command(name="build")
def build_images(names: Names = None, *, source: Source = None, as_json: AsJson = False) -> None:
    """Build images as OCI archives in the cache; what did not change is not built again.

    Example: carrel images build platform node
    """
    with _refusals():
        built = _built(names, places=_places(source))
        if as_json:
            _print_json([_described(image) for image in built])
        else:
            for image in built:
                typer.echo(_summary(image))


@app.command(name="push")
def push_images(
    registry: Annotated[str, typer.Argument(help="host[:port][/path] that the cluster can reach.")],
    names: Names = None,
    *,
    source: Source = None,
    as_json: AsJson = False,
) -> None:
    """Build images, push them below REGISTRY and print the references to give to the chart.

    Example: carrel images push registry.example.org/imaging platform
    """
    with _refusals():
        places = _places(source)
        pushed = push(_built(names, places=places), registry=registry, places=places)
        if as_json:
            _print_json([_named(image) for image in pushed])
        else:
            for image in pushed:
                typer.echo(image.reference)


def size_words(size: int) -> str:
    """Return `size` bytes as megabytes, as people compare images."""
    return f"{size / 1e6:,.0f} MB"


def left_words(seconds: float | None) -> str:
    """Return the time left as a person would say it."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"about {max(round(seconds / 5) * 5, 5)} s left"
    return f"about {round(seconds / 60)} min left"


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        typer.echo(f"carrel: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo("carrel: stopped; finished layers are kept, the next build goes on.", err=True)
        raise typer.Exit(130) from None


def _places(source: Path | None) -> Places:
    return Places.of_environment(os.environ, source=find_source(source or Path.cwd()))


def _built(names: Sequence[ImageName] | None, *, places: Places) -> tuple[BuiltImage, ...]:
    with _told() as progress:
        return build(names or DEPLOYED, places=places, progress=progress)


@contextmanager
def _told() -> Iterator[Progress]:
    """Show steps on stderr: one moving line on a terminal, one line per step elsewhere."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda step: console.print(_line(step), markup=False, soft_wrap=True)
        return
    with console.status("") as status:
        yield lambda step: status.update(_line(step).replace("[", r"\["))


def _line(step: Step) -> str:
    what = " ".join(step.text.split())[:60]
    return f"{step.image:<10} {left_words(step.seconds_left):<20} {what}"


def _summary(image: BuiltImage) -> str:
    spent = f"{image.origin} in {image.seconds:.0f} s" if image.seconds else image.origin
    return f"{image.name:<10} {size_words(image.size):>9}  {spent:<14} {image.digest}"


def _described(image: BuiltImage) -> dict[str, Any]:
    return {
        "name": image.name,
        "repository": image.repository,
        "digest": image.digest,
        "reference": image.reference,
        "archive": str(image.archive),
        "size": image.size,
        "content": image.content,
        "origin": image.origin,
        "seconds": image.seconds,
    }


def _named(image: PushedImage) -> dict[str, str]:
    return {"name": image.name, "reference": image.reference}


def _print_json(document: Sequence[Any]) -> None:
    typer.echo(json.dumps(document, indent=2))
