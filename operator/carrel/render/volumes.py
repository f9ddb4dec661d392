"""The dataset view and the home as volumes and claims."""

from typing import Any

from carrel.kinds import Workspace
from carrel.render.labels import HOME, VIEWS, workspace_labels
from carrel.render.quantity import mebibytes
from carrel.render.site import Site
from carrel.rules import HomeProvision, home_volume_name, view_volume_name
from carrel.rules.facts import HOME_FOLDER

VIEW_CLAIM = "view"
HOME_CLAIM = "home"

_VIEW_SIZE = "1Gi"
"""Nominal: a view is made of hard links and takes no space of its own."""


def view_volume(workspace: Workspace, site: Site) -> dict[str, Any]:
    """Return the volume of the view: a directory that the node fills, same path on each node."""
    name = workspace.metadata.name
    return _local_volume(
        workspace,
        name=view_volume_name(name),
        path=f"{site.store_root}/views/{name}",
        size=_VIEW_SIZE,
        mode="ReadOnlyMany",
        claim=VIEW_CLAIM,
    )


def view_claim(workspace: Workspace) -> dict[str, Any]:
    """Return the claim that only the view's volume satisfies."""
    return _claim(
        workspace,
        name=VIEW_CLAIM,
        size=_VIEW_SIZE,
        mode="ReadOnlyMany",
        storage_class="",
        volume=view_volume_name(workspace.metadata.name),
    )


def home_volume(workspace: Workspace, site: Site) -> dict[str, Any] | None:
    """Return the volume of a home that lives on a node, None where a StorageClass makes it."""
    if site.homes is not HomeProvision.NODE_IMAGE:
        return None
    home = workspace.spec.home
    return _local_volume(
        workspace,
        name=home_volume_name(workspace.metadata.name),
        path=f"{site.store_root}/homes/{home.name}/{HOME_FOLDER}",
        size=mebibytes(home.size_mib),
        mode="ReadWriteOnce",
        claim=HOME_CLAIM,
    )


def home_claim(workspace: Workspace, site: Site) -> dict[str, Any]:
    """Return the claim of the home."""
    on_node = site.homes is HomeProvision.NODE_IMAGE
    return _claim(
        workspace,
        name=HOME_CLAIM,
        size=mebibytes(workspace.spec.home.size_mib),
        mode="ReadWriteOnce",
        storage_class="" if on_node else site.home_storage_class,
        volume=home_volume_name(workspace.metadata.name) if on_node else None,
    )


def kept_volume(workspace: Workspace, *, volume: str) -> dict[str, Any]:
    """Return what a provisioned home says so that it outlives its claim and is found again."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume,
            "labels": {**workspace_labels(workspace), HOME: workspace.spec.home.name},
        },
        "spec": {"persistentVolumeReclaimPolicy": "Retain"},
    }


def given_back_volume(volume: str) -> dict[str, Any]:
    """Return what has a provisioner delete a home together with its claim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume},
        "spec": {"persistentVolumeReclaimPolicy": "Delete"},
    }


def _local_volume(
    workspace: Workspace, *, name: str, path: str, size: str, mode: str, claim: str
) -> dict[str, Any]:
    ready = {"key": VIEWS, "operator": "In", "values": ["ready"]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": workspace_labels(workspace)},
        "spec": {
            "accessModes": [mode],
            "capacity": {"storage": size},
            # Bound to its claim from the start: no other claim can take it in between.
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": claim,
                "namespace": workspace.metadata.name,
            },
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [ready]}]}},
            "persistentVolumeReclaimPolicy": "Retain",
            "volumeMode": "Filesystem",
        },
    }


def _claim(
    workspace: Workspace,
    *,
    name: str,
    size: str,
    mode: str,
    storage_class: str | None,
    volume: str | None,
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "accessModes": [mode],
        "resources": {"requests": {"storage": size}},
        "volumeMode": "Filesystem",
    }
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    if volume is not None:
        spec["volumeName"] = volume
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": workspace.metadata.name,
            "labels": workspace_labels(workspace),
        },
        "spec": spec,
    }
