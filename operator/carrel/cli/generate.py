"""`carrel generate`: everything that is computed from code and committed beside it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from carrel.cli.command_page import command_page
from carrel.cli.records_page import records_page
from carrel.kinds import KINDS
from carrel.render.crd import SCHEMA_REVISION, custom_resource_definition
from carrel.render.desk_wire import desk_wire
from carrel.render.figures import figures_page
from carrel.render.reference import conditions_page, egress_page, kinds_page, policies_page
from carrel.render.report_page import dataset_reports_page
from carrel.render.values_schema import schema_json, values_reference, values_yaml

CLI_PAGE = Path("docs/reference/cli.md")
_CRD_NOTICE = "# Generated from operator/carrel/kinds by `carrel generate`; edit the models.\n"
_POLICY_NOTICE = "# Generated from policies/{name} by `carrel generate`; edit it there.\n"


def generate(
    context: typer.Context,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file would change.")
    ] = False,
    root: Annotated[Path, typer.Option(help="Root of the source tree.")] = Path(),
) -> None:
    """Write CRDs, chart values, policy copies and reference pages from the code.

    Examples: `carrel generate` after a model was edited, `carrel generate --check` in CI.
    """
    if not (root / "policies").is_dir() or not (root / "charts").is_dir():
        raise typer.BadParameter(f"{root.resolve()} is not Carrel's source tree", param_hint="root")
    wanted = {**generated_files(root), CLI_PAGE: command_page(context)}
    stale = list(stray_files(root, wanted))
    changed = [path for path, text in wanted.items() if not _holds(root / path, text)]
    if check:
        for path in changed:
            typer.echo(f"{path} is not what the code says; run `carrel generate`", err=True)
        for path in stale:
            typer.echo(f"{path} is made from nothing any more; delete it", err=True)
        raise typer.Exit(1 if changed or stale else 0)
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(wanted[path])
        typer.echo(f"wrote {path}")
    for path in stale:
        (root / path).unlink()
        typer.echo(f"deleted {path}")


def generated_files(root: Path) -> dict[Path, str]:
    """Return the text of every generated file but the command line's page, by its path."""
    values = yaml.safe_load((root / "charts/carrel/values.schema.yaml").read_text())
    policies = {
        path.parent.name: path.read_text() for path in sorted(root.glob("policies/*/policy.yaml"))
    }
    files = {
        Path("charts/carrel/values.yaml"): values_yaml(values),
        Path("charts/carrel/values.schema.json"): schema_json(values),
        Path("charts/carrel/kinds"): "".join(f"{kind.resource.crd_name}\n" for kind in KINDS),
        Path("charts/carrel/schema-revision"): f"{SCHEMA_REVISION}\n",
        Path("docs/reference/values.md"): values_reference(values),
        Path("docs/reference/kinds.md"): kinds_page(KINDS),
        Path("docs/reference/conditions.md"): conditions_page(),
        Path("docs/reference/dataset-reports.md"): dataset_reports_page(),
        Path("docs/reference/egress.md"): egress_page(),
        Path("docs/reference/policies.md"): policies_page(policies),
        Path("docs/reference/records.md"): records_page(),
        Path("images/workspace/notebook/src/carrel/wire.py"): desk_wire(),
        Path("docs/reference/figures.md"): figures_page(_results(root)),
    }
    for kind in KINDS:
        path = Path(f"charts/carrel-crds/templates/{kind.resource.plural}.yaml")
        files[path] = _CRD_NOTICE + _yaml(custom_resource_definition(kind))
    for name, policy in policies.items():
        binding = (root / "policies" / name / "binding.yaml").read_text()
        files[Path(f"charts/carrel/policies/{name}.yaml")] = (
            _POLICY_NOTICE.format(name=name) + policy + "---\n" + binding
        )
    return files


def _results(root: Path) -> dict[str, Any]:
    """Return what was measured, by the name of its file."""
    found = sorted(root.glob("tests/bench/results/*.json"))
    return {path.stem: json.loads(path.read_text()) for path in found}


def stray_files(root: Path, wanted: dict[Path, str]) -> list[Path]:
    """Return generated files of kinds and policies that no longer exist."""
    folders = ("charts/carrel-crds/templates", "charts/carrel/policies")
    present = [
        path.relative_to(root) for folder in folders for path in root.glob(f"{folder}/*.yaml")
    ]
    return sorted(path for path in present if path not in wanted)


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=100, allow_unicode=True)


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text
