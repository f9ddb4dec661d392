"""What a researcher gets, whole, as files that a reviewer reads.

`UPDATE_GOLDENS=1 pytest tests/golden/bundles` writes them anew.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from carrel.kinds import DatasetIngest, WorkspaceClass
from carrel.render.bundle import Bundle, bundle
from carrel.render.ingest_job import ingest_job
from carrel.render.pod import ungated
from carrel.render.site import Toleration, UserNamespaces
from carrel.rules import HomeProvision
from support import examples
from support.workspaces import workspace

HERE = Path(__file__).parent
GPU = {"resource": "nvidia.com/gpu", "count": 1}

SMALL = WorkspaceClass.model_validate(examples.workspace_class())
LARGE = WorkspaceClass.model_validate(
    examples.workspace_class("large", cpuMillis=7500, memoryMiB=65536, gpu=GPU)
)
ELSEWHERE = replace(
    examples.SITE,
    homes=HomeProvision.STORAGE_CLASS,
    home_storage_class="fast",
    user_namespaces=UserNamespaces.UNAVAILABLE,
    node_selector=(("pool", "workspaces"),),
    tolerations=(Toleration(key="pool", value="workspaces", effect="NoSchedule"),),
    front_door=examples.FRONT_DOOR,
)


def documents(made: Bundle) -> list[Mapping[str, Any]]:
    """Return the objects of a bundle in the order of making."""
    return [made.namespace, *made.surroundings(), made.pod]


def ingest() -> DatasetIngest:
    """Return a sealed ingest."""
    return DatasetIngest.model_validate(
        {
            "metadata": {"name": "chest-ct-1"},
            "spec": {
                "name": "chest-ct",
                "title": "Chest CT",
                "source": "Published samples",
                "manager": "oidc:demo-data-manager",
                "tokenDigest": "sha256:" + "1" * 64,
                "approvals": 1,
                "upload": "Sealed",
                "sealed": {"files": 4, "bytes": 4096, "digest": "sha256:" + "2" * 64},
            },
        }
    )


GOLDENS = {
    "one-machine": lambda: documents(bundle(workspace(), SMALL, examples.SITE)),
    "one-machine-self-check": lambda: [
        bundle(workspace(selfCheck="Imaging"), SMALL, examples.SITE).pod
    ],
    "larger-site-gpu": lambda: documents(bundle(workspace(), LARGE, ELSEWHERE)),
    "gate-opened": lambda: [ungated(("node-1", "node-2"), uid="uid-of-the-pod")],
    "ingest-job": lambda: [ingest_job(ingest(), examples.SITE)],
}


@pytest.mark.parametrize("name", GOLDENS)
def test_what_is_rendered_is_what_was_reviewed(name: str):
    """The file is the whole truth; no field is compared by itself."""
    path = HERE / f"{name}.yaml"
    # Through JSON: an object that is used twice would become an anchor and an alias.
    objects = json.loads(json.dumps(GOLDENS[name]()))
    text = yaml.safe_dump_all(objects, sort_keys=False, width=100)
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(text)
    assert path.read_text() == text
