"""Workspaces as the operator makes them of a grant."""

from carrel.kinds import Workspace
from support import examples


def workspace(name: str = "ws-lung-nodules-0123456789ab", **spec: object) -> Workspace:
    """Return an open workspace that should run."""
    return Workspace.model_validate(
        {
            "metadata": {
                "name": name,
                "namespace": name,
                "uid": "uid-of-the-workspace",
            },
            "spec": {
                "grant": {"name": "lung-nodules", "uid": "uid-of-the-grant"},
                "researcher": examples.RESEARCHER,
                "desired": "Running",
                "admission": "Open",
                "expires": "2026-03-09T09:00:00Z",
                "workspaceClass": {"name": "small", "digest": "sha256:" + "a" * 64},
                "egressPolicy": {"name": "nothing", "digest": "sha256:" + "b" * 64},
                "locks": "Both",
                "datasets": [
                    {
                        "name": "chest-ct",
                        "version": 1,
                        "digest": "sha256:" + "c" * 64,
                        "manifestDigest": "sha256:" + "d" * 64,
                    }
                ],
                "viewDigest": "sha256:" + "e" * 64,
                "home": {"name": name, "sizeMiB": 512},
                "nodes": ["node-1"],
                **spec,
            },
        }
    )
