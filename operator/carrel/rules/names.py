"""Names of everything made for a grant: always valid, never colliding by accident.

A name holds a readable part for people and a hash that decides. Whatever a grant, a
person or a node is called, the result is a valid DNS label of known length.
"""

import hashlib
import re

from carrel.kinds.resource import Label, ObjectName

POD_NAME = "desk"
"""Name of the one pod of a workspace; a finished pod is deleted before the next is made."""

_SLUG = 20
_HASH = 12


def workspace_name(*, grant_name: str, grant_uid: str, subject: str) -> Label:
    """Return the name of a workspace, which is also its namespace's.

    It is `ws-<at most 20 readable characters of the grant>-<12 hexadecimal digits>`; the
    digits are of SHA-256 over the grant's UID and the subject, so a grant that is made
    again under the same name gets other names. Should two names ever be equal, the rule
    that grant and researcher of a Workspace never change refuses the second.
    """
    decisive = _hex(f"{grant_uid}\n{subject}")
    slug = _slug(grant_name)
    return f"ws-{slug}-{decisive}" if slug else f"ws-{decisive}"


def home_name(workspace: Label) -> Label:
    """Return the name of the home that belongs to a workspace and to no other."""
    return workspace


def view_volume_name(workspace: Label) -> ObjectName:
    """Return the name of the PersistentVolume with the dataset view."""
    return f"{workspace}-view"


def home_volume_name(workspace: Label) -> ObjectName:
    """Return the name of the PersistentVolume with the home."""
    return f"{workspace}-home"


def node_report_name(*, node: str, workspace: Label) -> ObjectName:
    """Return the name of the report of one node on one workspace: `<node>.<workspace>`."""
    plain = f"{node}.{workspace}"
    if len(plain) <= 253:
        return plain
    kept = 253 - len(workspace) - _HASH - 2
    return f"{node[:kept].rstrip('-.')}-{_hex(node)}.{workspace}"


def grant_label(grant_name: str) -> str:
    """Return a label value for a grant: its name where that fits, else a part and a hash."""
    if len(grant_name) <= 63:
        return grant_name
    return f"{grant_name[: 63 - _HASH - 1].rstrip('-.')}-{_hex(grant_name)}"


def approval_name(*, grant_name: str, approver: str, scope_digest: str) -> ObjectName:
    """Return the name of one person's approval of one scope: the same yes has the same name."""
    decisive = _hex(f"{approver}\n{scope_digest}")
    return f"{grant_name[:200].rstrip('-.')}-{decisive}"


def ingest_job_name(ingest_name: str) -> Label:
    """Return the name of the Job that gates one DatasetIngest, and of its chain of records."""
    return f"ingest-{_hex(ingest_name)}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:_SLUG].strip("-")


def _hex(text: str) -> str:
    # "surrogatepass": a name is made even of text that is not valid Unicode.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
