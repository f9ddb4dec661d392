"""The tutorial's commands are run as they are written, on a grant of their own.

Only places are filled in: `…` becomes the instance's folder, `first-look` a grant that
no other test uses, and the demo and the end of the cluster are left out.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from carrel.cluster import Cluster, Ref
from carrel.embedded import Instance

from . import grants

pytestmark = pytest.mark.cluster

TUTORIAL = Path(__file__).parents[3] / "docs/tutorials/first-grant.md"
NAME = "tutorial-look"


def commands() -> list[str]:
    """Return the lines that begin with `$` in the tutorial's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", TUTORIAL.read_text(), flags=re.DOTALL)
    return [
        line.removeprefix("$ ")
        for block in blocks
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


def run(command: str, *, instance: Instance) -> str:
    """Run one line as a person would who has just exported KUBECONFIG."""
    line = command.replace("…/", f"{instance.state}/").replace("first-look", NAME)
    programs = f"{instance.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": programs,
        "KUBECONFIG": str(instance.state / "kube" / "admin.conf"),
    }
    done = subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


async def test_the_tutorial_does_what_it_says(
    grant_admin: Cluster, approver: Cluster, admin: Cluster, instance: Instance
):
    """Each command succeeds; wider is out of force with its reason, Revoked is the end."""
    await grant_admin.create(await grants.sound(admin, name=NAME, researcher="demo-researcher"))
    try:
        await grants.approved(approver, name=NAME)
        await grants.until(admin, NAME, grants.stands("InForce", status="True", reason="InForce"))
        for command in commands():
            said = run(command, instance=instance)
            if '"gpu":8' in command:
                await grants.until(
                    admin, NAME, grants.stands("Approved", status="False", reason="ScopeWider")
                )
                assert "spec.batch" in run(f"carrel grant explain {NAME}", instance=instance)
            if "get datasets" in command:
                assert "demo-ct.v1" in said
            if "Revoked" in command:
                await grants.until(
                    admin, NAME, grants.stands("InForce", status="False", reason="Revoked")
                )
    finally:
        await grants.gone(admin, Ref(grants.GRANTS, NAME))
