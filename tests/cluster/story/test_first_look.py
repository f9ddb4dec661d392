"""What the demo leaves behind is what the tutorial says, and ends as it says."""

import base64
import hashlib
import io
import json
import os

import pyarrow.parquet as pq
import pytest

from carrel.cli.demo import desk
from carrel.cluster import Cluster, KindRef, Ref
from carrel.cluster.refs import POD
from carrel.embedded import Instance, run_inside
from carrel.kinds import AccessGrant, NodeReport, Workspace
from carrel.rules import view_path

from . import grants

pytestmark = pytest.mark.cluster


@pytest.fixture
async def workspace(admin: Cluster) -> Workspace:
    """Return the workspace that the demo left running."""
    for item in await admin.list(KindRef.of(Workspace)):
        if item["spec"]["grant"]["name"].startswith(desk.GRANT_NAME):
            found = Workspace.model_validate(item)
            if found.spec.desired == "Running" and found.spec.admission == "Open":
                return found
    raise AssertionError("the demo's workspace is not there; run `make demo`")


async def test_it_is_ready_and_says_so(workspace: Workspace):
    """Every condition is there; all are True but the one that says it has stopped."""
    said = {c.type: c.status.value for c in workspace.status.conditions}
    assert said == {
        "ViewReady": "True",
        "HomeReady": "True",
        "PolicyEnforced": "True",
        "Locked": "True",
        "EgressRecorded": "True",
        "Started": "True",
        "Ready": "True",
        "SelfChecked": "True",
        "Stopped": "False",
    }


async def test_the_notebook_drew_a_series_and_got_nowhere(admin: Cluster, workspace: Workspace):
    """The figures come from the notebook in the pod, through the report, to two digits."""
    proof = await desk.read_proof(admin, workspace)
    assert proof.figures["slices"] > 1
    assert proof.figures["rows"] == proof.figures["columns"] == 510
    assert proof.figures["writeRefused"] == 1
    assert proof.figures["connectRefused"] == 1
    assert proof.denied > 0


async def test_the_view_holds_exactly_what_was_granted(instance: Instance, workspace: Workspace):
    """Paths and bytes under /datasets equal the signed manifest: nothing more, nothing less."""
    name = workspace.metadata.name
    (dataset,) = workspace.spec.datasets
    manifest = _inside(
        instance, f"cat /var/lib/carrel/datasets/manifests/{dataset.manifest_digest[7:]}.parquet"
    )
    assert "sha256:" + hashlib.sha256(manifest).hexdigest() == dataset.manifest_digest
    granted = {
        view_path(
            subject=row["subject"],
            study=row["study_uid"],
            series=row["series_uid"],
            instance=row["sop_uid"],
        ): row["sha256"]
        for row in pq.read_table(io.BytesIO(manifest)).to_pylist()
    }
    listed = _inside(
        instance,
        f"cd /var/lib/carrel/views/{name}/{dataset.name} && find . -type f -exec sha256sum {{}} +",
    )
    mounted = {
        path.removeprefix("./"): digest
        for digest, path in (line.split("  ", 1) for line in listed.decode().splitlines())
    }
    assert mounted == granted


async def test_a_second_look_ends_everywhere_when_it_is_revoked(
    grant_admin: Cluster, approver: Cluster, admin: Cluster, instance: Instance
):
    """From apply to Ready, then Revoked: no pod, no process, no volume; and no way back."""
    name = f"second-look-{os.getpid()}"
    await grant_admin.create(await grants.sound(admin, name=name, researcher="demo-researcher-2"))
    try:
        await grants.approved(approver, name=name)
        found = await grants.until(
            admin, name, grants.stands("InForce", status="True", reason="InForce")
        )
        place = found["status"]["workspaces"][0]
        ref = Ref(KindRef.of(Workspace), place["name"], place["namespace"])
        ready = Workspace.model_validate(await desk.start(admin, ref, say=lambda _: None))
        uid = ready.status.pod_uid or ""
        assert _processes(instance, uid) > 0

        await grant_admin.patch(
            Ref(grants.GRANTS, name), {"spec": {"state": "Revoked"}}, manager="a-test"
        )
        await grants.until(
            admin, name, grants.stands("WorkspacesReady", status="False", reason="Stopped")
        )
        assert _processes(instance, uid) == 0
        assert await admin.list(POD, namespace=place["namespace"]) == []
        reports = [
            NodeReport.model_validate(item)
            for item in await admin.list(KindRef.of(NodeReport))
            if item["spec"]["workspaceUID"] == ready.uid
        ]
        assert [
            (c.status.value, c.reason)
            for report in reports
            for c in report.status.conditions
            if c.type == "CgroupEmpty"
        ] == [("True", "Killed")]
        with pytest.raises(Exception, match="Revoked is final"):
            await grant_admin.patch(
                Ref(grants.GRANTS, name), {"spec": {"state": "Active"}}, manager="a-test"
            )
    finally:
        await grants.gone(admin, Ref(KindRef.of(AccessGrant), name))


def _inside(instance: Instance, script: str) -> bytes:
    done = run_inside(instance, ["sh", "-c", f"({script}) | base64 -w0"])
    assert done.returncode == 0, done.stderr
    return base64.b64decode(done.stdout)


def _processes(instance: Instance, pod_uid: str) -> int:
    """Count processes whose cgroup bears the pod's UID."""
    assert json.dumps(pod_uid) != '""'
    done = run_inside(
        instance, ["sh", "-c", f"grep -l {pod_uid} /proc/[0-9]*/cgroup 2>/dev/null | wc -l"]
    )
    return int(done.stdout)
