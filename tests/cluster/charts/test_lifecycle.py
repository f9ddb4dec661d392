"""Installed, upgraded, refused, mended, removed and installed again, on a real cluster."""

import json
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from carrel.cli.release import NAMESPACE_NAME, ReleaseError
from carrel.embedded import Person
from support.release_site import Site

pytestmark = pytest.mark.cluster

FINALIZER = "carrel.dev/stop-before-release"
GRANT = {
    "apiVersion": "carrel.dev/v1alpha1",
    "kind": "AccessGrant",
    "metadata": {"name": "to-be-retired"},
    "spec": {
        "requester": f"oidc:{Person.GRANT_ADMIN.subject}",
        "researchers": [{"subject": "nobody"}],
        "project": "retirement",
        "purpose": {"statement": "To be retired."},
        "datasets": [{"name": "nowhere", "version": 1}],
        "notBefore": "2026-01-01T00:00:00Z",
        "expires": f"{datetime.now(UTC).year + 5}-01-01T00:00:00Z",  # noqa: TID251 - any time ahead
        "workspaceClass": "none",
        "egressPolicy": "nothing",
        "locks": "InPod",
        "mode": "Interactive",
        "home": {"retention": "Delete"},
        "state": "Active",
    },
}
REPORT = {
    "apiVersion": "carrel.dev/v1alpha1",
    "kind": "NodeReport",
    "metadata": {"name": "elsewhere.ws-busy"},
    "spec": {
        "node": "elsewhere",
        "namespace": "ws-busy",
        "workspace": "ws-busy",
        "workspaceUID": "00000000-0000-0000-0000-000000000001",
    },
    "status": {
        "podUID": "00000000-0000-0000-0000-000000000002",
        "conditions": [
            {"type": "CgroupEmpty", "status": "False", "reason": "Running", "message": "It runs."}
        ],
    },
}
AS_NODE = (
    "--as=system:serviceaccount:carrel-system:carrel-node",
    "--as-group=system:serviceaccounts",
    "--as-user-extra=authentication.kubernetes.io/node-name=elsewhere",
)


@pytest.fixture
def installed(site: Site) -> Site:
    """Have the platform installed, whatever the test before has left."""
    site.install()
    return site


def _versions(site: Site) -> dict[tuple[str, str], tuple[str, Any]]:
    """Identity and version of everything in the release but the canaries of each installation."""
    command = [str(site.helm), "get", "manifest", "carrel", "--namespace", NAMESPACE_NAME]
    command += [f"--kubeconfig={site.instance.kubeconfig()}"]
    manifest = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = json.loads(site.kubectl("get", "-f", "-", "-o", "json", text=manifest))["items"]
    return {
        (each["kind"], each["metadata"]["name"]): (
            each["metadata"]["uid"],
            each["metadata"].get("generation", each["metadata"]["resourceVersion"]),
        )
        for each in found
        if (each["kind"], "canary" in each["metadata"]["name"]) != ("Job", True)
    }


def _data(site: Site, kind: str, name: str) -> dict[str, str]:
    found = site.kubectl("get", kind, name, "-n", NAMESPACE_NAME, "-o", "json")
    return dict(json.loads(found)["data"])


def test_a_second_installation_changes_nothing(installed: Site):
    """No object is written, no process starts anew."""
    before = _versions(installed)
    installed.install()
    changed = {name for name, version in _versions(installed).items() if before[name] != version}
    assert (len(before) > 40, changed) == (True, set())


def test_an_upgrade_changes_what_was_asked_and_goes_back(installed: Site):
    """One value, one process."""
    before = _versions(installed)
    installed.install(users={"prefix": "sso:"})
    changed = {name for name, version in _versions(installed).items() if before[name] != version}
    assert changed == {("StatefulSet", "carrel-operator")}
    installed.install()


def test_hooks_leave_no_rights_behind(installed: Site):
    """The right to create Secrets lives as long as the job that needs it."""
    assert [name for name in installed.names("roles") if "setup" in name] == []
    assert [name for name in installed.names("jobs") if "setup" in name] == []


def test_the_renewal_job_has_the_rights_that_it_needs(installed: Site):
    """A certificate that nobody can renew ends in ninety days."""
    place = ["-n", NAMESPACE_NAME]
    before = _data(installed, "secret", "carrel-ingest-tls")
    installed.kubectl("delete", "job", "look-now", "--ignore-not-found", *place)
    spoilt = json.dumps({"data": {"tls.crt": before["ca.crt"]}})
    installed.kubectl("patch", "secret", "carrel-ingest-tls", "--type=merge", "-p", spoilt, *place)
    installed.kubectl("create", "job", "--from=cronjob/carrel-trust", "look-now", *place)
    installed.kubectl("wait", "job/look-now", "--for=condition=Complete", "--timeout=120s", *place)
    installed.kubectl("delete", "job", "look-now", *place)
    after = _data(installed, "secret", "carrel-ingest-tls")
    assert after["ca.crt"] == before["ca.crt"]
    assert len({after["tls.crt"], before["tls.crt"], before["ca.crt"]}) == 3


def test_what_still_runs_keeps_the_platform_and_is_named(installed: Site):
    """Grants are suspended, everything else stays; a later installation mends the release."""
    installed.kubectl("apply", "-f", "-", text=yaml.safe_dump(GRANT), person=Person.GRANT_ADMIN)
    report = yaml.safe_dump(REPORT)
    installed.kubectl("apply", "--server-side", "-f", "-", *AS_NODE, text=report)
    pods = installed.names("statefulsets")
    with pytest.raises(ReleaseError, match=r"elsewhere\.ws-busy"):
        installed.uninstall()
    grant = json.loads(installed.kubectl("get", "accessgrant", "to-be-retired", "-o", "json"))
    assert (grant["spec"]["state"], installed.names("statefulsets")) == ("Suspended", pods)
    installed.install()
    installed.kubectl("delete", "nodereport", "elsewhere.ws-busy")
    installed.kubectl("delete", "accessgrant", "to-be-retired", "--timeout=60s")


def test_an_uninstall_leaves_nothing_that_hangs_and_keeps_what_must_stay(installed: Site):
    """Ledgers, authority, signing keys, kinds, menus and grants stay; no finalizer of ours does."""
    grant = {**GRANT, "metadata": {"name": "to-be-retired", "finalizers": [FINALIZER]}}
    installed.kubectl("apply", "-f", "-", text=yaml.safe_dump(grant), person=Person.GRANT_ADMIN)
    authority = _data(installed, "secret", "carrel-ca")
    installed.uninstall()
    left = {
        kind: [name for name in installed.names(kind) if "sh.helm" not in name]
        for kind in (
            "pods",
            "jobs",
            "serviceaccounts",
            "roles",
            "persistentvolumeclaims",
            "secrets",
        )
    }
    assert left == {
        "pods": [],
        "jobs": [],
        "serviceaccounts": ["default"],
        "roles": [],
        "persistentvolumeclaims": [
            *(f"ledger-carrel-{process}-0" for process in ("ingest", "operator", "revoker")),
            "log-carrel-ledger-0",
        ],
        "secrets": [
            "carrel-ca",
            "carrel-ingest-signing",
            "carrel-ingest-tls",
            "carrel-ledger-signing",
            "carrel-ledger-tls",
        ],
    }
    found = json.loads(installed.kubectl("get", "accessgrant", "to-be-retired", "-o", "json"))
    assert "finalizers" not in found["metadata"]
    installed.kubectl("delete", "accessgrant", "to-be-retired", "--timeout=10s")
    installed.install()
    assert _data(installed, "secret", "carrel-ca") == authority


def test_a_deleted_namespace_ends_and_an_installation_begins_anew(installed: Site):
    """Nothing of ours holds it."""
    installed.uninstall()
    installed.kubectl("delete", "namespace", NAMESPACE_NAME, "--timeout=90s")
    installed.install()


def test_an_older_kind_stops_the_installation_before_it_begins(installed: Site):
    """The operator would lose fields that it does not find."""
    name, mark = "accessgrants.carrel.dev", "carrel.dev/schema-revision"
    installed.kubectl("annotate", "crd", name, "--overwrite", f"{mark}=0")
    command = [str(installed.helm), "upgrade", "carrel", "charts/carrel", "--reuse-values"]
    command += ["--namespace", NAMESPACE_NAME, f"--kubeconfig={installed.instance.kubeconfig()}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    installed.kubectl("annotate", "crd", name, "--overwrite", f"{mark}=1")
    assert (done.returncode, "has schema revision 0" in done.stderr) == (1, True), done.stderr
