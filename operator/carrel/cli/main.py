"""The `carrel` command: one Typer application, one module per noun."""

import typer

from carrel.cli import audit, cluster, dataset, grant, images, ledger, platform, trust
from carrel.cli.demo import demo
from carrel.cli.doctor import doctor
from carrel.cli.explain import explain
from carrel.cli.generate import generate

app = typer.Typer(
    name="carrel",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold tokens and patients' names
)
app.add_typer(audit.app, name="audit")
app.add_typer(cluster.app, name="cluster")
app.command()(demo)
app.add_typer(dataset.app, name="dataset")
app.command()(doctor)
app.command()(explain)
app.command()(generate)
app.add_typer(grant.app, name="grant")
app.add_typer(images.app, name="images")
app.add_typer(ledger.app, name="ledger")
app.add_typer(platform.app, name="platform")
app.add_typer(trust.app, name="trust")


@app.callback()
def carrel() -> None:
    """Work with a secure research environment for medical imaging data.

    Your shell completes commands and options after `carrel --install-completion`.
    """


def main() -> None:
    """Run the command line."""
    app()
