"""Empties released local volumes and offers them again; a process inside the instance.

A static local volume has no provisioner, so `Released` would be its end. It is emptied before its
claim is forgotten: the next claim must never see the last one's files.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from carrel.embedded.instance import Instance, read_instance
from carrel.embedded.mounts import prepare_volume
from carrel.embedded.objects import STORAGE_CLASS


def empty(path: Path) -> None:
    """Remove everything below the folder and make it anew; raises when something stays."""
    shutil.rmtree(path)
    prepare_volume(path)


def is_released(volume: dict[str, Any]) -> bool:
    """Whether this is one of our volumes whose claim is gone."""
    described = (
        volume["spec"].get("storageClassName"),
        volume.get("status", {}).get("phase"),
    )
    return described == (STORAGE_CLASS, "Released")


def _changes(instance: Instance) -> Iterator[dict[str, Any]]:
    """Every state of every volume, for as long as kubectl ends without an error."""
    command = [*_kubectl(instance), "get", "persistentvolumes", "--watch", "--output=json"]
    ended_well = True
    while ended_well:  # the API server ends each watch after a while
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            yield from _documents(process.stdout or ())
        ended_well = process.returncode == 0


def _documents(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Split kubectl's stream of indented documents: each ends with a brace at its line's start."""
    gathered: list[str] = []
    for line in lines:
        gathered.append(line)
        if line.rstrip("\n") == "}":
            yield json.loads("".join(gathered))
            gathered.clear()


def _offer(instance: Instance, volume: dict[str, Any]) -> None:
    """Forget the claim, if it is still the one that was seen."""
    patch = [
        {"op": "test", "path": "/spec/claimRef/uid", "value": volume["spec"]["claimRef"]["uid"]},
        {"op": "remove", "path": "/spec/claimRef"},
    ]
    name = volume["metadata"]["name"]
    subprocess.run(
        [*_kubectl(instance), "patch", "pv", name, "--type=json", f"--patch={json.dumps(patch)}"],
        check=True,
    )


def _kubectl(instance: Instance) -> tuple[str, str]:
    return (
        str(instance.programs / "kubectl"),
        f"--kubeconfig={instance.keys}/volumes.conf",
    )


def main() -> None:
    """Entry point: `python -m carrel.embedded.volumes NAME`; ends when kubectl fails."""
    instance = read_instance(sys.argv[1])
    if instance is None:
        raise SystemExit(f"There is no instance {sys.argv[1]!r} in the state root.")
    for volume in _changes(instance):
        if is_released(volume):
            empty(Path(volume["spec"]["local"]["path"]))
            _offer(instance, volume)


if __name__ == "__main__":
    main()
