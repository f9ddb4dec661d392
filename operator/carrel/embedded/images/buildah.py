"""Calls of buildah: layers in the cache, chroot isolation, nothing in /var/lib/containers."""

import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from carrel.embedded.images.archive import Blob, Described
from carrel.embedded.images.errors import ImageError
from carrel.embedded.images.layers import LayerUnreadableError, layer_of_storage
from carrel.embedded.images.places import Places
from carrel.embedded.images.snapshot import EPOCH

_STEP = re.compile(r"^(?:\[\d+/\d+\] )?STEP \d+/\d+: (?P<what>.*)")
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
_LOG_END = 1500


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A file that one RUN step sees and no layer keeps."""

    name: str
    """The `id` that Containerfiles use."""
    path: Path
    """Where it is on this machine."""


@dataclass(frozen=True, kw_only=True)
class Buildah:
    """One storage of layers and the programs that fill it."""

    storage: Path
    run: Path
    policy: Path
    driver: str

    @classmethod
    def at(cls, places: Places) -> "Buildah":
        """Open the storage of `places`: overlay where the file system can, else copies (vfs)."""
        policy = places.cache / "policy.json"
        policy.parent.mkdir(parents=True, exist_ok=True)
        # Nothing is pulled, so no signature is asked for; the host may have no policy file at all.
        policy.write_text(_POLICY)
        overlay = cls(
            storage=places.cache / "overlay", run=places.run, policy=policy, driver="overlay"
        )
        if overlay._call(["images", "--quiet"]).returncode == 0:
            return overlay
        return cls(storage=places.cache / "vfs", run=places.run, policy=policy, driver="vfs")

    def exists(self, reference: str) -> bool:
        """Tell whether the storage holds `reference`."""
        return self._call(["inspect", "--type", "image", reference]).returncode == 0

    def build(
        self,
        context: Path,
        *,
        reference: str,
        arguments: Mapping[str, str],
        secrets: Iterable[Secret],
        log: Path,
        heard: Callable[[str], None],
    ) -> None:
        """Build the Containerfile in `context` as `reference`; `heard` gets each step.

        Raises
        ------
        ImageError
            When a step fails; the text ends with the end of its output.
        """
        command = self._command(
            "bud",
            "--isolation=chroot",
            "--pull=never",
            "--layers",
            "--force-rm",
            f"--timestamp={EPOCH}",
            f"--signature-policy={self.policy}",
            f"--tag={reference}",
            *(f"--build-arg={key}={value}" for key, value in arguments.items()),
            *(f"--secret=id={secret.name},src={secret.path}" for secret in secrets),
            f"--file={context / 'Containerfile'}",
            str(context),
        )
        log.parent.mkdir(parents=True, exist_ok=True)
        with (
            log.open("w", buffering=1) as lines,
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process,
        ):
            assert process.stdout is not None  # noqa: S101 - PIPE was asked for above
            for line in process.stdout:
                lines.write(line)
                if step := _STEP.match(line):
                    heard(step["what"])
        if process.returncode != 0:
            raise ImageError(
                f"Every step of {reference} must succeed",
                found=log.read_text(errors="replace")[-_LOG_END:].strip(),
                next_step=f"The whole output is in {log}; finished steps are kept for the next try",
            )

    def described(self, reference: str) -> Described:
        """Return manifest and configuration of `reference`; its layers are named uncompressed."""
        found = json.loads(self._do("inspect", "--type", "image", reference))
        return Described(manifest=found["Manifest"].encode(), config=found["Config"].encode())

    def layers(self, reference: str, *, wanted: Iterable[str], into: Path) -> Mapping[str, Blob]:
        """Return the layers with the hex digests `wanted` as files of `into`."""
        try:
            return {
                digest: layer_of_storage(digest, storage=self.storage, into=into)
                for digest in wanted
            }
        except LayerUnreadableError:
            # Another driver or version of the storage: slower, but buildah can always tell.
            return self._export(reference, into=into / "export")

    def _export(self, reference: str, *, into: Path) -> Mapping[str, Blob]:
        """Let buildah write all layers.

        Only the `dir` transport heeds `--disable-compression`; as an OCI archive they would be
        compressed anew, on one core, at every push.
        """
        self._do(
            "push",
            "--quiet",
            "--disable-compression",
            "--format=oci",
            f"--signature-policy={self.policy}",
            reference,
            f"dir:{into}",
        )
        return {
            file.name: Blob(file=file, offset=0, size=file.stat().st_size)
            for file in into.iterdir()
        }

    def push(self, reference: str, *, destination: str, digest_file: Path) -> None:
        """Send `reference` to the registry in `destination`, with the logins that buildah knows."""
        self._do(
            "push",
            "--quiet",
            "--format=oci",
            f"--signature-policy={self.policy}",
            f"--digestfile={digest_file}",
            reference,
            f"docker://{destination}",
        )

    def forget(self, reference: str) -> None:
        """Drop `reference` and the layers that nothing else stands on; absent is fine."""
        self._call(["rmi", "--force", reference])

    @contextmanager
    def mounted(self, reference: str) -> Iterator[Path]:
        """Show the file system of `reference` as a folder; changes to it are dropped at the end."""
        container = self._do("from", "--pull=never", reference).strip()
        try:
            yield Path(self._do("mount", container).strip())
        finally:
            self._do("rm", container)

    def _do(self, *arguments: str) -> str:
        result = self._call(list(arguments))
        if result.returncode != 0:
            raise ImageError(
                f"buildah {arguments[0]} must succeed",
                found=result.stderr.strip()[-_LOG_END:],
                next_step="`carrel doctor` checks tools, rights and disk",
            )
        return result.stdout

    def _call(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*arguments), capture_output=True, text=True, check=False
        )

    def _command(self, verb: str, *arguments: str) -> list[str]:
        where = [
            f"--root={self.storage}",
            f"--runroot={self.run}",
            f"--storage-driver={self.driver}",
        ]
        # A build must not slow down the cluster that may run beside it.
        return ["nice", "buildah", *where, verb, *arguments]
