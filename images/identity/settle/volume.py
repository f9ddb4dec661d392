"""Brings the realm on the volume to what the mounted description says, before Keycloak starts.

A first start begins from the template and leaves the import to the server, which imports what
is not there yet: one start of a JVM instead of two. Later descriptions are imported here.
"""

import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

from settle.people import merged

_NO_REALM = "not found by realm name"


class SettleError(Exception):
    """Keycloak refused; nothing was lost and the next run tries again."""


def settle(described: Path, *, home: Path) -> str:
    """Return what was done, in one sentence; what is interrupted begins again at the next run."""
    text = described.read_bytes()
    digest = sha256(text).hexdigest()
    mark = home / "data" / "realm.sha256"
    if mark.is_file() and mark.read_text() == digest:
        return "The realm is as described."
    realm = json.loads(text)
    # The mark is written last: without it nothing was ever served.
    old = _exported(home, name=realm["realm"]) if mark.is_file() else None
    if old is None:
        _begin(home, realm)
        said = "Made the tables; the server imports the realm."
    else:
        _renew(home, merged(old, realm))
        said = "Renewed the realm; people are as they were."
    _replace(mark, digest)
    return said


def _begin(home: Path, realm: dict[str, Any]) -> None:
    shutil.rmtree(home / "data" / "h2", ignore_errors=True)
    shutil.copytree(home / "template", home / "data" / "h2", copy_function=shutil.copyfile)
    _replace(_imported(home, realm), json.dumps(realm))


def _renew(home: Path, realm: dict[str, Any]) -> None:
    wanted = _imported(home, realm)
    _replace(wanted, json.dumps(realm))
    done = _keycloak(home, "import", "--file", str(wanted), "--override", "true")
    if done.returncode:
        raise SettleError(f"kc.sh import failed: {_end(done)}")


def _exported(home: Path, *, name: str) -> dict[str, Any] | None:
    """Return the realm as it is; None where an earlier first start never came to import it."""
    file = home / "data" / "old.json"
    done = _keycloak(home, "export", "--realm", name, "--file", str(file))
    if done.returncode:
        if _NO_REALM in done.stdout + done.stderr:
            return None
        raise SettleError(f"kc.sh export failed: {_end(done)}")
    found: dict[str, Any] = json.loads(file.read_bytes())
    file.unlink()
    return found


def _imported(home: Path, realm: dict[str, Any]) -> Path:
    """Return the file that `start --import-realm` reads."""
    folder = home / "data" / "import"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{realm['realm']}-realm.json"


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)


def _keycloak(home: Path, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [home / "bin" / "kc.sh", verb, "--optimized", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def _end(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stdout + done.stderr)[-2000:]
