"""Rendering the chart as Helm does, with no cluster."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from carrel.cli.release import ReleaseError, find_helm

CHART = Path(__file__).parents[3] / "charts" / "carrel"
KUBERNETES = "1.36.3"
Objects = list[dict[str, Any]]
Template = Callable[..., subprocess.CompletedProcess[str]]
Render = Callable[[str], Objects]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """`helm template` with a values file of ci/ and, laid over it, other values."""
    try:
        helm = find_helm(None)
    except ReleaseError as error:
        pytest.skip(f"{error} (`carrel cluster build` makes it)")
    folder = tmp_path_factory.mktemp("values")

    def run(
        name: str, over: Mapping[str, Any] | None = None, *, namespace: str = "carrel-system"
    ) -> subprocess.CompletedProcess[str]:
        values = folder / "over.yaml"
        values.write_text(yaml.safe_dump(dict(over or {})))
        command = [str(helm), "template", "carrel", str(CHART), "--namespace", namespace]
        command += ["--kube-version", KUBERNETES, "-f", str(CHART / f"ci/{name}-values.yaml")]
        return subprocess.run(
            [*command, "-f", str(values)], capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="session")
def render(template: Template) -> Render:
    """Every object that a values file of ci/ gives."""
    seen: dict[str, Objects] = {}

    def objects(name: str) -> Objects:
        if name not in seen:
            done = template(name)
            assert done.returncode == 0, done.stderr
            seen[name] = [each for each in yaml.safe_load_all(done.stdout) if each]
        return seen[name]

    return objects
