"""`carrel cluster`: the embedded cluster for one machine."""

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from carrel import embedded
from carrel.cli.build_progress import build_shown
from carrel.embedded import doctor, inside, lifecycle, parts
from carrel.embedded.instance import DEFAULT_NAME, DEFAULT_PORT

app = typer.Typer(help="A real Kubernetes node on this machine, to try Carrel and to test it.")
say = Console(highlight=False)

Name = Annotated[
    str, typer.Option("--instance", help="Name of the instance.", envvar="CARREL_INSTANCE")
]
With = Annotated[
    embedded.Network,
    typer.Option("--network", help="cilium enforces NetworkPolicy; bridge does not."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True}


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a refusal into one sentence and exit code 1."""
    try:
        yield
    except embedded.EmbeddedError as error:
        typer.echo(f"carrel: {error}", err=True)
        raise typer.Exit(1) from error
    except PermissionError as error:
        typer.echo(f"carrel: {error.filename or error}: this needs root.", err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        # Such as a disk that became full half-way; whoever raised it has cleaned up.
        where = f" ({error.filename})" if error.filename else ""
        typer.echo(f"carrel: {error.strerror or error}{where}; mend it and try again.", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo("carrel: stopped; what was begun has been undone.", err=True)
        raise typer.Exit(130) from None


@app.command()
def build(
    network: With = embedded.Network.CILIUM,
    extra: Annotated[
        list[str] | None, typer.Option("--with", help="One more part: kwok (simulated nodes).")
    ] = None,
) -> None:
    """Compile what the instance runs; continues where an earlier build stopped.

    Example: carrel cluster build --with kwok
    """
    with refusals():
        wanted = [*parts.needed(network), *(_extra(name) for name in extra or ())]
        _refuse_unless_able(network)
        build_shown(wanted, console=say)


def _extra(name: str) -> parts.Part:
    found = {part.name: part for part in parts.EVERY_PART}.get(name)
    if found is None:
        names = ", ".join(part.name for part in parts.EVERY_PART)
        raise embedded.EmbeddedError(f"There is no part {name!r}; choose from {names}.")
    return found


@app.command()
def up(
    instance: Name = DEFAULT_NAME,
    port: Annotated[
        int, typer.Option(help="Port of 127.0.0.1 that leads to the front door.", min=1, max=65535)
    ] = DEFAULT_PORT,
    network: With = embedded.Network.CILIUM,
) -> None:
    """Start an instance and wait until its node is Ready and names are answered.

    Example: carrel cluster up --instance second --port 9443
    """
    with refusals():
        _refuse_unless_able(network)
        build_shown(parts.needed(network), console=say)
        started = lifecycle.up(
            instance,
            port=port,
            with_network=network,
            note=lambda step, seconds: say.print(f"  {step:<42} {seconds:6.1f} s"),
        )
        known = embedded.find_instance(instance)
        word = "runs already" if started is None else "is up"
        say.print(f"The instance {instance!r} {word}: {known.server}, kubeconfig at")
        typer.echo(known.kubeconfig())
        if known.network is not network:
            say.print(f"Its network is {known.network}; `carrel cluster down` first to change it.")


def _refuse_unless_able(network: embedded.Network) -> None:
    lacks = doctor.missing(doctor.examine(network))
    if lacks:
        first = lacks[0]
        more = f", and {len(lacks) - 1} more" if len(lacks) > 1 else ""
        raise embedded.EmbeddedError(
            f"This machine cannot run the embedded cluster yet: {first.subject}: {first.found} "
            f"({first.mend}){more}. `carrel doctor` shows all, `carrel doctor --mend` installs "
            "what packages can mend."
        )


@app.command()
def down(
    *,
    instance: Name = DEFAULT_NAME,
    keep_data: Annotated[
        bool, typer.Option("--keep-data", help="Keep the cluster's objects, volumes and images.")
    ] = False,
) -> None:
    """End an instance and leave nothing of it behind.

    Example: carrel cluster down --keep-data
    """
    with refusals():
        data = lifecycle.Data.KEEP if keep_data else lifecycle.Data.REMOVE
        was_there = lifecycle.down(instance, data=data)
        ended = "is stopped, its data are kept" if keep_data else "is gone"
        word = ended if was_there else "does not exist; nothing to do"
        say.print(f"The instance {instance!r} {word}.")


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """Show every instance with its processes.

    Example: carrel cluster status --json
    """
    rows = [_status(found) for found in embedded.every_instance()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table("instance", "state", "network", "API server", "front door", "processes")
    for row in rows:
        words = [str(row[key]) for key in ("name", "state", "network", "server", "door")]
        table.add_row(*words, _in_words(row["processes"]))
    say.print(table)


def _status(found: embedded.Instance) -> dict[str, Any]:
    running = embedded.is_running(found)
    ready = (found.state / "ready").exists()
    return {
        "name": found.name,
        "state": ("ready" if ready else "starting") if running else "stopped",
        "network": found.network.value,
        "server": found.server,
        "door": f"127.0.0.1:{found.port}",
        "kubeconfig": str(found.kubeconfig()),
        "processes": embedded.processes(found) if running else {},
    }


def _in_words(processes: dict[str, Any]) -> str:
    down_now = [name for name, facts in processes.items() if not facts["running"]]
    restarts = sum(facts["restarts"] for facts in processes.values())
    words = f"{len(processes) - len(down_now)} of {len(processes)} run, {restarts} restarts"
    return f"{words}; not: {', '.join(down_now)}" if down_now else words


@app.command()
def load(
    archives: Annotated[list[Path], typer.Argument(help="OCI archives with one image each.")],
    name: Annotated[list[str], typer.Option(help="Name for each archive, in the same order.")],
    instance: Name = DEFAULT_NAME,
) -> None:
    """Import and pin images; prints NAME@sha256:..., which is how pods name them.

    Example: carrel cluster load workspace.tar --name localhost/carrel/workspace
    """
    with refusals():
        if len(archives) != len(name):
            raise embedded.EmbeddedError(
                f"{len(archives)} archives and {len(name)} names were given; give one --name for "
                "each archive."
            )
        found = embedded.find_instance(instance)
        for archive, one in zip(archives, name, strict=True):
            typer.echo(embedded.load_image(found, archive, name=one))


@app.command(context_settings=_PASS_ON)
def exec(context: typer.Context, instance: Name = DEFAULT_NAME) -> None:  # noqa: A001  # the verb that people know
    """Run a command inside the instance's namespaces.

    Example: carrel cluster exec -- nft list ruleset
    """
    with refusals():
        found = embedded.find_instance(instance)
        words = context.args or ["bash"]
        command = [*inside.enter(found), *words]
    os.execvp(command[0], command)  # noqa: S606  # replaces this process: signals and exit code are the command's


@app.command(context_settings=_PASS_ON)
def kubectl(
    context: typer.Context,
    instance: Name = DEFAULT_NAME,
    person: Annotated[
        embedded.Person, typer.Option("--as-person", help="Whose kubeconfig is used.")
    ] = embedded.Person.ADMIN,
) -> None:
    """Run kubectl against the instance.

    Example: carrel cluster kubectl --as-person auditor -- get accessgrants
    """
    with refusals():
        found = embedded.find_instance(instance)
        program = str(found.programs / "kubectl")
        command = [program, f"--kubeconfig={found.kubeconfig(person)}", *context.args]
    os.execv(program, command)  # noqa: S606  # as above


@app.command()
def internet(instance: Name = DEFAULT_NAME) -> None:
    """Print what reached the pretend Internet, as JSON, without ARP and neighbour discovery.

    Example: carrel cluster internet
    """
    with refusals():
        counted = embedded.arrived(embedded.find_instance(instance))
        typer.echo(json.dumps(dataclasses.asdict(counted)))
