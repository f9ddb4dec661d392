"""`carrel demo`: the command line of the story."""

import asyncio
import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from carrel import embedded
from carrel.cli.cluster import Name, With
from carrel.cli.demo import front_door, images, story
from carrel.cli.demo.desk import DemoError
from carrel.cli.demo.site import Site, current_site, embedded_site
from carrel.cli.demo.stage import Stages
from carrel.cli.release import ReleaseError
from carrel.cluster.errors import ClusterError
from carrel.embedded.images import ImageError
from carrel.embedded.instance import DEFAULT_NAME, DEFAULT_PORT
from carrel.flows.approval import ApprovalError
from carrel.flows.dataset_upload import UploadError

say = Console(highlight=False)


class Where(StrEnum):
    """Which cluster the demo uses."""

    EMBEDDED = "embedded"
    """One that it starts on this machine."""
    CURRENT = "current"
    """The one that KUBECONFIG names."""


def demo(
    *,
    instance: Name = DEFAULT_NAME,
    port: Annotated[
        int, typer.Option(help="Port of 127.0.0.1 that leads to the front door.", min=1, max=65535)
    ] = DEFAULT_PORT,
    network: With = embedded.Network.CILIUM,
    where: Annotated[
        Where, typer.Option("--cluster", help="embedded or current.", envvar="CLUSTER")
    ] = Where.EMBEDDED,
    registry: Annotated[
        str,
        typer.Option(help="Where images are pushed for --cluster current.", envvar="REGISTRY"),
    ] = "",
    times: Annotated[
        Path | None, typer.Option("--times", help="File that gets the stages' times as JSON.")
    ] = None,
) -> None:
    """Go from nothing to a locked notebook on real CT images, and say what was proven.

    Safe to run again: what is there already is kept, and the workspace is started anew.

    Examples: carrel demo; carrel demo --network bridge --instance quick --port 9443;
    KUBECONFIG=~/.kube/config carrel demo --cluster current --registry r.example.org/carrel
    """
    stages = Stages(console=say)
    with _refusals():
        site = (
            current_site(stages, registry=registry, environment=os.environ)
            if where is Where.CURRENT
            else embedded_site(stages, name=instance, port=port, network=network)
        )
        story.install(stages, site)
        ending = asyncio.run(_tell(stages, site))
        known = asyncio.run(front_door.passwords(site))
    say.print()
    say.print(stages.table())
    front_door.tell(say, site, known=known)
    story.tell_ending(say, site, ending)
    if times is not None:
        rows = [dataclasses.asdict(entry) for entry in stages.done]
        times.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


async def _tell(stages: Stages, site: Site) -> story.Ending:
    dataset = await images.publish(stages, site)
    manifest = site.keep / "first-grant.yaml"
    granted = await story.grant(stages, site, dataset=dataset, keep=manifest)
    return await story.run(stages, site, granted=granted, manifest=manifest)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what can be expected to go wrong into one sentence and exit code 1."""
    try:
        yield
    except (
        ApprovalError,
        ClusterError,
        DemoError,
        ImageError,
        ReleaseError,
        UploadError,
        embedded.EmbeddedError,
    ) as error:
        typer.echo(f"carrel demo: {error}", err=True)
        typer.echo("Run it again when this is mended: it goes on where it stopped.", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo("carrel demo: stopped; run it again to go on.", err=True)
        raise typer.Exit(130) from None
