"""Whole, valid objects to begin a test with; no test depends on a value it does not name."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from carrel.cluster import JSON
from carrel.kinds import AccessGrant, Approval, Dataset, EgressPolicy, WorkspaceClass
from carrel.render.site import FrontDoor, Site, UserNamespaces
from carrel.rules import (
    HomeProvision,
    PolicyEnforcement,
    SiteFacts,
    approved_scope,
    digest_of,
    scope_text,
)
from carrel.rules.dataset_signature import message

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
IMAGE = "example.org/workspace@sha256:" + "a" * 64
PLATFORM_IMAGE = "example.org/platform@sha256:" + "b" * 64
RESEARCHER = "demo-researcher"

FRONT_DOOR = FrontDoor(
    authority="-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
    gateway="carrel-gateway.carrel-system.svc",
)

FACTS = SiteFacts(
    user_prefix="oidc:",
    network_policy=PolicyEnforcement.ENFORCED,
    homes=HomeProvision.NODE_IMAGE,
)
SITE = Site(
    platform_namespace="carrel-system",
    platform_image=PLATFORM_IMAGE,
    store_root="/var/lib/carrel",
    homes=HomeProvision.NODE_IMAGE,
    home_storage_class=None,
    user_namespaces=UserNamespaces.USED,
    priority_class="carrel-workspace",
)


def stored(obj: JSON, **metadata: Any) -> JSON:
    """Return an object as it looks once the server has it."""
    filled = {"uid": f"uid-{obj['metadata']['name']}", "generation": 1, **metadata}
    return {**obj, "metadata": {**obj["metadata"], **filled}}


def public_key(key: Ed25519PrivateKey = SIGNING_KEY) -> JSON:
    """Return the ConfigMap with the platform's public key."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "carrel-ingest-public-key", "namespace": "carrel-system"},
        "data": {"public.pem": pem.decode()},
    }


def dataset(name: str = "chest-ct", *, key: Ed25519PrivateKey = SIGNING_KEY) -> JSON:
    """Return version 1 of a signed dataset."""
    digest, manifest = "sha256:" + "c" * 64, "sha256:" + "d" * 64
    signed = message(name=name, version=1, digest=digest, manifest_digest=manifest)
    return {
        "apiVersion": "carrel.dev/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": f"{name}.v1"},
        "spec": {
            "name": name,
            "version": 1,
            "title": "Chest CT",
            "source": "Published samples",
            "digest": digest,
            "manifestDigest": manifest,
            "signature": base64.b64encode(key.sign(signed)).decode(),
            "counts": {"subjects": 1, "studies": 1, "series": 1, "instances": 4, "bytes": 4096},
            "modalities": ["CT"],
            "use": [],
            "approvals": 1,
            "ingest": f"{name}-1",
        },
    }


def workspace_class(name: str = "small", *, image: str = IMAGE, **spec: Any) -> JSON:
    """Return a class of two cores and 2 GiB without a GPU."""
    return {
        "apiVersion": "carrel.dev/v1alpha1",
        "kind": "WorkspaceClass",
        "metadata": {"name": name},
        "spec": {
            "title": "Small",
            "image": image,
            "cpuMillis": 2000,
            "memoryMiB": 2048,
            "scratchMiB": 1024,
            "sharedMemoryMiB": 256,
            "homeMiB": 512,
            **spec,
        },
    }


def egress_policy(name: str = "nothing") -> JSON:
    """Return the policy that opens nothing."""
    return {
        "apiVersion": "carrel.dev/v1alpha1",
        "kind": "EgressPolicy",
        "metadata": {"name": name},
        "spec": {"title": "Nothing can be reached", "allow": "Nothing"},
    }


def grant(
    name: str = "lung-nodules",
    *,
    researchers: tuple[str, ...] = (RESEARCHER,),
    now: datetime = NOW,
    **spec: Any,
) -> JSON:
    """Return a grant of `chest-ct.v1` that began yesterday and ends in a week."""
    return {
        "apiVersion": "carrel.dev/v1alpha1",
        "kind": "AccessGrant",
        "metadata": {"name": name, "annotations": {"carrel.dev/start": "Running"}},
        "spec": {
            "requester": "oidc:demo-grant-admin",
            "researchers": [{"subject": subject} for subject in researchers],
            "project": "lungs",
            "purpose": {"statement": "Detect nodules.", "codes": []},
            "datasets": [{"name": "chest-ct", "version": 1}],
            "notBefore": f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
            "expires": f"{now + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}",
            "workspaceClass": "small",
            "egressPolicy": "nothing",
            "locks": "InPod",
            "mode": "Interactive",
            "home": {"retention": "Delete", "keepDays": 0},
            "state": "Active",
            **spec,
        },
    }


def approval(
    granted: JSON, *, approver: str = "oidc:demo-approver", shape: JSON | None = None
) -> JSON:
    """Return the approval of exactly what a stored grant says."""
    scope = scope_text(
        approved_scope(
            AccessGrant.model_validate(granted),
            datasets={"chest-ct.v1": Dataset.model_validate(dataset())},
            workspace_class=WorkspaceClass.model_validate(shape or workspace_class()),
            egress_policy=EgressPolicy.model_validate(egress_policy()),
        )
    )
    name = granted["metadata"]["name"]
    made: JSON = {
        "apiVersion": "carrel.dev/v1alpha1",
        "kind": "Approval",
        "metadata": {"name": f"{name}-approval"},
        "spec": {
            "grant": name,
            "grantUID": granted["metadata"]["uid"],
            "approver": approver,
            "scope": scope,
            "scopeDigest": digest_of(scope),
            "evidence": {"type": "KubernetesUser"},
        },
    }
    Approval.model_validate(made)
    return made


def ready_node(name: str = "node-1") -> JSON:
    """Return a node whose agent can build views."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"carrel.dev/views": "ready"}},
    }


def node_report(
    workspace: JSON, *, node: str = "node-1", pod_uid: str | None = None, **truths: bool
) -> JSON:
    """Return what a node says of a stored workspace: view and home ready, and `truths`."""
    conditions = {"ViewReady": True, "HomeReady": True, **truths}
    status: JSON = {
        "viewDigest": workspace["spec"]["viewDigest"],
        "conditions": [
            {
                "type": kind,
                "status": "True" if true else "False",
                "reason": "Seen",
                "message": "",
                "observedGeneration": 0,
                "lastTransitionTime": "2026-03-02T09:00:00Z",
            }
            for kind, true in conditions.items()
        ],
    }
    if pod_uid is not None:
        status["podUID"] = pod_uid
    name = workspace["metadata"]["name"]
    return {
        "apiVersion": "carrel.dev/v1alpha1",
        "kind": "NodeReport",
        "metadata": {"name": f"{node}.{name}"},
        "spec": {
            "node": node,
            "namespace": name,
            "workspace": name,
            "workspaceUID": workspace["metadata"]["uid"],
        },
        "status": status,
    }
