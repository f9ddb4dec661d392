"""Bringing an instance up and down; what a person sees of it is the command line's affair."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

from carrel.embedded import (
    build,
    cgroups,
    config,
    mounts,
    network,
    objects,
    oci,
    parts,
    pki,
    remains,
)
from carrel.embedded.errors import EmbeddedError
from carrel.embedded.inside import kubectl, load_image, processes, run_inside
from carrel.embedded.instance import (
    Instance,
    Person,
    allocate,
    allocation_lock,
    check_name,
    check_port,
    every_instance,
    first_process,
    forget,
    is_running,
    read_instance,
)
from carrel.embedded.toolchain import cache_root

_DEADLINE: Final = 180.0
"""Seconds that each wait of `up` may take; a busy machine took 40 in all."""
_LOOK_EVERY: Final = 0.2
_STATE_BYTES: Final = 3 * 2**30
"""An instance without the platform's images; volumes are sparse."""
Note = Callable[[str, float], None]
"""Told the name of each step of `up` and the seconds that it took."""


class Data(StrEnum):
    """What `down` does with the instance's folder."""

    REMOVE = "remove"
    KEEP = "keep"


def up(name: str, *, port: int, with_network: parts.Network, note: Note) -> Instance | None:
    """Start an instance and return it once names are answered; None when it was running already.

    A start that fails, or is interrupted, leaves the host as it was before.
    """
    known = read_instance(check_name(name))
    if known is not None and is_running(known) and (known.state / "ready").exists():
        return None
    absent = build.missing(parts.needed(with_network))
    if absent:
        raise EmbeddedError(
            f"Not compiled yet: {', '.join(p.name for p in absent)}; run "
            f"`carrel cluster build --network {with_network}` first."
        )
    existed = known is not None
    with allocation_lock():
        if known is not None and is_running(known):
            _end(known)  # its `up` was interrupted
        _check_disk()
        check_port(port)
        instance = allocate(name, port=port, network=with_network)
        try:
            _start(instance, note=note)
        except BaseException:
            _undo(instance, existed=existed)
            raise
    try:
        _wait_until_ready(instance, note=note)
    except BaseException:
        with allocation_lock():
            _undo(instance, existed=existed)
        raise
    return instance


def down(name: str, *, data: Data) -> bool:
    """End an instance and clean the host; returns False when there was none."""
    instance = read_instance(check_name(name))
    if instance is None:
        return False
    with allocation_lock():
        if data is Data.REMOVE and is_running(instance):
            # Nothing is kept, so nobody needs time to end well; the warden cleans up after it.
            with suppress(EmbeddedError, ProcessLookupError):
                os.kill(first_process(instance), signal.SIGKILL)
        _end(instance)
        if data is Data.REMOVE:
            forget(instance)
            _remove_mount_points()
    left = remains.found(instance)
    if left:
        raise EmbeddedError(
            f"Of the instance {name!r} {' and '.join(left)} are left; run `carrel cluster down "
            f"--instance {name}` again and, if they stay, restart the machine."
        )
    return True


def _start(instance: Instance, *, note: Note) -> None:
    with _timed("certificates, disks and configuration", note):
        remains.clean(instance)
        mounts.make_folders(instance)
        pki.make(instance)
        _write_files(instance)
        _link_programs(instance)
        _make_images(instance)
    with _timed("namespaces and the pretend Internet", note):
        network.make(instance)
        cgroups.make(instance)
        _start_warden(instance)


def _wait_until_ready(instance: Instance, *, note: Note) -> None:
    with _timed("images of the cluster itself", note):
        # Before the objects that name them: a pod whose image is missing waits ten seconds more.
        _wait(instance, "containerd", lambda: _ctr_answers(instance))
        for image in (config.PAUSE_IMAGE, config.COREDNS_IMAGE):
            load_image(instance, _archive(instance, image), name=image)
    with _timed("API server", note):
        _wait(instance, "the API server", lambda: _succeeds(instance, "get", "--raw=/readyz"))
        documents = {"apiVersion": "v1", "kind": "List", "items": objects.every_object(instance)}
        apply = ("apply", "--server-side", "--force-conflicts", "--filename=-")
        # Admission and RBAC settle a moment after /readyz: applying again is harmless.
        text = json.dumps(documents)
        _wait(instance, "the first objects", lambda: _succeeds(instance, *apply, text=text))
    with _timed("node Ready", note):
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        asks = ("get", "node", instance.name, f"--output={path}", "--ignore-not-found")
        _wait(instance, "the node", lambda: _says(instance, *asks) == "True")
    with _timed("names answered", note):
        _wait(instance, "CoreDNS", lambda: _names_answered(instance))
    (instance.state / "ready").touch()


def _write_files(instance: Instance) -> None:
    shutil.rmtree(instance.state / "cni", ignore_errors=True)
    for name, content in config.files(instance).items():
        path = instance.state / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (instance.state / "cni").mkdir(exist_ok=True)
    (instance.state / "llvm" / "clang").chmod(0o755)
    llc = instance.state / "llvm" / "llc"
    llc.unlink(missing_ok=True)
    llc.symlink_to("/usr/bin/llc-19")


def _link_programs(instance: Instance) -> None:
    shutil.rmtree(instance.programs, ignore_errors=True)
    instance.programs.mkdir()
    for part in parts.needed(instance.network):
        for made in part.programs:
            (instance.programs / made.name).symlink_to(build.program(part, made.name))
    if instance.network is parts.Network.CILIUM:
        # The agent writes beside its templates, so each instance has a copy.
        target = instance.state / "cilium" / "bpf"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(build.folder(parts.CILIUM) / "bpf", target)


def _archive(instance: Instance, image: str) -> Path:
    name = image.rpartition("/")[2].split(":")[0]
    return instance.state / "images" / f"{name}.tar"


def _make_images(instance: Instance) -> None:
    (instance.state / "images").mkdir(exist_ok=True)
    for image, part in (
        (config.PAUSE_IMAGE, parts.PAUSE),
        (config.COREDNS_IMAGE, parts.COREDNS),
    ):
        program = build.program(part, part.programs[0].name)
        oci.write_archive(_archive(instance, image), program=program, user=65532)


def _start_warden(instance: Instance) -> None:
    with (instance.logs / "warden.log").open("ab") as log:
        # Forked once more, so that it is nobody's child and outlives whoever calls this.
        subprocess.run(
            ["setsid", "--fork", sys.executable, "-m", "carrel.embedded.warden", instance.name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            check=True,
        )
    made = instance.state / "children.json"
    _wait(instance, "the first process", made.exists, alive=lambda: True)


def _wait(
    instance: Instance,
    what: str,
    is_true: Callable[[], bool],
    *,
    alive: Callable[[], bool] | None = None,
) -> None:
    """Look again and again until it is true, the instance ended or the deadline passed."""
    still_alive = alive or (lambda: is_running(instance))
    deadline = time.monotonic() + _DEADLINE
    while not is_true():
        if not still_alive():
            raise EmbeddedError(
                f"The instance {instance.name!r} ended while waiting for {what}: "
                f"{_last_words(instance)}"
            )
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"{what} was not there after {_DEADLINE:.0f} s: {_last_words(instance)}; all "
                f"logs are at {failed_logs(instance)}"
            )
        select.select([], [], [], _LOOK_EVERY)


def _last_words(instance: Instance) -> str:
    """Quote whatever ends again and again, for the one sentence of a failed start."""
    worst = max(processes(instance).items(), key=lambda item: item[1]["restarts"], default=("", {}))
    if worst[1].get("restarts", 0) > 1:
        return (
            f"{worst[0]} ends again and again and says {_tail(instance.logs / f'{worst[0]}.log')}"
        )
    return f"the warden says {_tail(instance.logs / 'warden.log')}"


def _tail(log: Path) -> str:
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if lines:
            return repr(lines[-1][-300:])
    return "nothing"


def _succeeds(instance: Instance, *arguments: str, text: str = "") -> bool:
    try:
        kubectl(instance, "--request-timeout=5s", *arguments, text=text)
    except EmbeddedError:
        return False
    return True


def _says(instance: Instance, *arguments: str) -> str:
    try:
        return kubectl(instance, "--request-timeout=5s", *arguments)
    except EmbeddedError:
        return ""


def _ctr_answers(instance: Instance) -> bool:
    command = ["ctr", "--address", config.CONTAINERD_SOCKET, "version"]
    return run_inside(instance, command).returncode == 0


def _names_answered(instance: Instance) -> bool:
    name = "kubernetes.default.svc.cluster.local"
    command = [sys.executable, "-m", "carrel.embedded.dns", config.DNS_IP, name]
    return run_inside(instance, command).returncode == 0


def _end(instance: Instance) -> None:
    """End the warden, and with it everything; SIGKILL when it does not go by itself."""
    for number, seconds in ((signal.SIGTERM, 12), (signal.SIGKILL, 12)):
        if not is_running(instance):
            break
        with suppress(OSError, ValueError):
            pid = int((instance.state / "warden.pid").read_text(encoding="ascii"))
            handle = os.pidfd_open(pid)
            signal.pidfd_send_signal(handle, number)
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(seconds * 1000)
            os.close(handle)
    if is_running(instance):
        raise EmbeddedError(
            f"The warden of {instance.name!r} does not end; see {instance.logs / 'warden.log'}."
        )
    remains.clean(instance)


def _undo(instance: Instance, *, existed: bool) -> None:
    # The first failure is what the person must read, not one of the cleaning.
    with suppress(EmbeddedError, OSError):
        _end(instance)
        kept = failed_logs(instance)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(instance.logs, kept)
        if not existed:
            forget(instance)
            _remove_mount_points()


def failed_logs(instance: Instance) -> Path:
    """Where the logs of the last failed start of this instance are kept."""
    return cache_root() / "failed" / instance.name


def _remove_mount_points() -> None:
    """With the last instance: removing a folder unmounts what others have mounted on it."""
    if every_instance():
        return
    for folder in mounts.MOUNT_POINTS:
        with suppress(OSError):  # not empty: then it was the host's own
            Path(folder).rmdir()


def _check_disk() -> None:
    root = os.environ.get("CARREL_STATE") or "/var/lib"
    free = shutil.disk_usage(root if Path(root).exists() else "/").free
    if free < _STATE_BYTES:
        raise EmbeddedError(
            f"An instance needs {_STATE_BYTES // 2**30} GiB free at {root}, which has "
            f"{free / 2**30:.1f} GiB; free some or set CARREL_STATE to a larger disk."
        )


@contextmanager
def _timed(step: str, note: Note) -> Iterator[None]:
    begin = time.monotonic()
    yield
    note(step, time.monotonic() - begin)


__all__ = ["Data", "Person", "down", "up"]
