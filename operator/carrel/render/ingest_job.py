"""The Job that gates what was uploaded and publishes it as a dataset version."""

from typing import Any

from carrel.kinds import DatasetIngest
from carrel.render.labels import COMPONENT, INGEST, MANAGED_BY, OURS, VIEWS
from carrel.render.site import Site
from carrel.rules import grant_label, ingest_job_name
from carrel.rules.facts import DATASETS_FOLDER

STAGING_CLAIM = "carrel-staging"
SERVICE_ACCOUNT = "carrel-ingest"
SIGNING_SECRET = "carrel-ingest-signing"  # noqa: S105 - the name of a Secret, not its content

_STAGING = "/staging"
_SIGNING = "/run/carrel/signing"
_TRIES = 6
_LONGEST_SECONDS = 24 * 3600


def ingest_job(ingest: DatasetIngest, site: Site) -> dict[str, Any]:
    """Return the Job of one sealed ingest.

    It reads staging, which it cannot write, and writes the node's store as its owner,
    root, without any capability: objects in the store belong to nobody who could change them.
    """
    name = ingest_job_name(ingest.metadata.name)
    labels = {
        MANAGED_BY: OURS,
        COMPONENT: "ingest",
        INGEST: grant_label(ingest.metadata.name),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": site.platform_namespace, "labels": labels},
        "spec": {
            "backoffLimit": _TRIES,
            "activeDeadlineSeconds": _LONGEST_SECONDS,
            "template": {
                "metadata": {"labels": labels},
                "spec": _pod(ingest.metadata.name, site),
            },
        },
    }


def _pod(ingest: str, site: Site) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": SERVICE_ACCOUNT,
        "enableServiceLinks": False,
        "nodeSelector": {VIEWS: "ready", **dict(site.node_selector)},
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            # Staging belongs to the ingest service, which shares its files with this group.
            "supplementalGroups": [65532],
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(ingest, site)],
        "volumes": [
            {
                "name": "staging",
                "persistentVolumeClaim": {"claimName": STAGING_CLAIM, "readOnly": True},
            },
            {"name": "store", "hostPath": {"path": site.store_root, "type": "Directory"}},
            {"name": "signing", "secret": {"secretName": SIGNING_SECRET, "defaultMode": 0o400}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
    }
    if site.tolerations:
        spec["tolerations"] = [taint.to_pod() for taint in site.tolerations]
    return spec


def _container(ingest: str, site: Site) -> dict[str, Any]:
    datasets = f"{site.store_root}/{DATASETS_FOLDER}"
    chain = f"ledger/{ingest_job_name(ingest)}"
    return {
        "name": "ingest",
        "image": site.platform_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "carrel.ingest", "job", "--name", ingest],
        "env": [
            {"name": "CARREL_NAMESPACE", "value": site.platform_namespace},
            {"name": "CARREL_STORE_ROOT", "value": datasets},
            {"name": "CARREL_STAGING_DIR", "value": _STAGING},
            {"name": "CARREL_SIGNING_KEY", "value": f"{_SIGNING}/signing.key"},
            {"name": "CARREL_LEDGER_DIR", "value": f"{site.store_root}/ledger"},
        ],
        "resources": {
            "limits": {"cpu": "2", "memory": "2Gi"},
            "requests": {"cpu": "100m", "memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "staging", "mountPath": _STAGING, "readOnly": True},
            # Its own parts of the store: neither homes and views nor the records of others.
            {"name": "store", "mountPath": datasets, "subPath": DATASETS_FOLDER},
            {"name": "store", "mountPath": f"{site.store_root}/{chain}", "subPath": chain},
            {"name": "signing", "mountPath": _SIGNING, "readOnly": True},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - a mount of the pod's own
        ],
    }
