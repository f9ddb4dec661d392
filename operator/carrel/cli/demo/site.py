"""Where the demo runs: an embedded cluster that it starts, or a cluster that is already there."""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from carrel import embedded
from carrel.cli import release
from carrel.cli.build_progress import build_shown
from carrel.cli.demo.desk import DemoError
from carrel.cli.demo.stage import Stages
from carrel.cluster import connect
from carrel.embedded import doctor, lifecycle, parts
from carrel.embedded.images import (
    DEPLOYED,
    BuiltImage,
    ImageName,
    Places,
    Step,
    build,
    find_source,
    push,
)
from carrel.flows.demo_people import issue_kubeconfig
from carrel.kinds.grant import NetworkLocks


@dataclass(frozen=True, kw_only=True)
class Site:
    """A cluster that is ready for Carrel, with the images that it can run."""

    kubeconfig: Callable[[embedded.Person], Path]
    """Credentials of each person of the story."""
    images: Mapping[ImageName, str]
    """Image references by digest."""
    locks: NetworkLocks
    """Both where the network enforces NetworkPolicy."""
    instance: embedded.Instance | None
    """The embedded cluster, if it is one."""
    helm: Path
    """The helm program."""
    keep: Path
    """Folder for what the story writes down."""


_QUIET = 20.0
"""Seconds between two lines about the same image."""

USER_PREFIX = "oidc:"
"""What the API server puts before a subject in the names of the demo's people."""


def build_images(
    console: Console, *, wanted: Sequence[ImageName]
) -> tuple[tuple[BuiltImage, ...], Places]:
    """Build what is missing of the images, one line per image and step."""
    places = Places.of_environment(os.environ, source=find_source(Path.cwd()))

    told: dict[ImageName, float] = {}

    def tell(step: Step) -> None:
        # Every step would drown the lines of the compiler; one line a while shows life.
        now = time.monotonic()
        if now - told.get(step.image, -_QUIET) < _QUIET:
            return
        told[step.image] = now
        left = "" if step.seconds_left is None else f", {step.seconds_left / 60:.1f} min left"
        console.print(f"  image {step.image}: {step.text[:50]}{left}", style="dim")

    return build(wanted, places=places, progress=tell), places


def embedded_site(stages: Stages, *, name: str, port: int, network: embedded.Network) -> Site:
    """Build, start and fill an embedded cluster; what is there already is left as it is."""
    console = stages.console
    with stages.stage("Look at this machine") as result:
        checks = doctor.examine(network)
        installed = doctor.mend(checks) if doctor.missing(checks) else ()
        lacks = doctor.missing(doctor.examine(network)) if installed else doctor.missing(checks)
        if lacks:
            raise DemoError(
                f"{lacks[0].subject}: {lacks[0].found}. {lacks[0].mend} `carrel doctor` shows all."
            )
        result(f"installed {', '.join(installed)}" if installed else "nothing is missing")
    with stages.stage("Build programs and images") as result, ThreadPoolExecutor(1) as pool:
        # Images mostly wait for downloads while compiles use the processors.
        pending = pool.submit(build_images, console, wanted=(*DEPLOYED, ImageName.IDENTITY))
        build_shown(parts.needed(network), console=console)
        images, _ = pending.result()
        megabytes = sum(image.size for image in images) / 1e6
        result(f"{len(images)} images, {megabytes:,.0f} MB before compression")
    with stages.stage(f"Start the cluster {name!r}") as result:
        started = lifecycle.up(
            name,
            port=port,
            with_network=network,
            note=lambda step, seconds: console.print(f"  {step:<42} {seconds:6.1f} s", style="dim"),
        )
        instance = embedded.find_instance(name)
        result("it runs already" if started is None else f"Kubernetes answers at {instance.server}")
    with stages.stage("Load the images") as result:
        loaded = {
            image.name: embedded.load_image(instance, image.archive, name=image.repository)
            for image in images
        }
        result(f"{len(loaded)} images, pinned by digest")
    enforced = instance.network is embedded.Network.CILIUM
    return Site(
        kubeconfig=instance.kubeconfig,
        images=loaded,
        locks=NetworkLocks.BOTH if enforced else NetworkLocks.IN_POD,
        instance=instance,
        helm=instance.programs / "helm",
        keep=instance.state,
    )


def current_site(stages: Stages, *, registry: str, environment: Mapping[str, str]) -> Site:
    """Push images for the cluster that KUBECONFIG names and make credentials for the people."""
    kubeconfig = Path(environment.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    if not kubeconfig.is_file():
        raise DemoError(f"{kubeconfig} does not exist; name the cluster's file by KUBECONFIG.")
    if not registry:
        raise DemoError(
            "--cluster current needs REGISTRY: where to push images that the cluster can pull."
        )
    helm = release.find_helm(None)
    with stages.stage("Build the images") as result:
        images, places = build_images(stages.console, wanted=DEPLOYED)
        result(f"{len(images)} images")
    with stages.stage(f"Push them to {registry}") as result:
        pushed = push(images, registry=registry, places=places)
        result(f"{len(pushed)} images by digest")
    keep = Path(tempfile.mkdtemp(prefix="carrel-demo-"))
    with stages.stage("Make credentials for the demo's people") as result:
        asyncio.run(_people(kubeconfig, keep=keep))
        result(f"client certificates for seven days, in {keep}")
    return Site(
        kubeconfig=lambda person: (
            kubeconfig if person is embedded.Person.ADMIN else keep / f"{person.value}.conf"
        ),
        images={image.name: image.reference for image in pushed},
        # Whether this cluster enforces NetworkPolicy is for its administrator to say.
        locks=NetworkLocks.IN_POD,
        instance=None,
        helm=helm,
        keep=keep,
    )


async def _people(kubeconfig: Path, *, keep: Path) -> None:
    text = await asyncio.to_thread(kubeconfig.read_text, encoding="utf-8")
    async with connect(kubeconfig) as cluster:
        for person in embedded.Person:
            if person is not embedded.Person.ADMIN:
                await issue_kubeconfig(
                    cluster,
                    username=USER_PREFIX + person.subject,
                    template=text,
                    target=keep / f"{person.value}.conf",
                )
