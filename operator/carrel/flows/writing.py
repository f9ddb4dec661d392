"""Writing only what differs, so that a pass over an unchanged world writes nothing."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from carrel.cluster.errors import AlreadyExists, NotFound
from carrel.cluster.refs import JSON, Ref, ref_of
from carrel.flows.surroundings import MANAGER, Surroundings
from carrel.kinds.resource import Kind
from carrel.render.difference import differs, merge_patch
from carrel.rules.facts import FINALIZER

K = TypeVar("K", bound=Kind)

_FINALIZER_MANAGER = f"{MANAGER}-finalizer"
"""A field manager of its own: letting go must not let go of anything else."""


def parsed(kind: type[K], stored: JSON | None) -> K | None:
    """Return the object as its kind; None where it is absent or cannot be read."""
    if stored is None:
        return None
    try:
        return kind.model_validate(stored)
    except ValidationError:
        return None


async def ensure(desired: JSON, around: Surroundings) -> bool:
    """Apply `desired` unless what is known to be there says all of it; tell whether it was."""
    live = around.store.get(ref_of(desired))
    if live is not None and not differs(desired, live):
        return False
    around.learn(await around.cluster.apply(desired, manager=MANAGER))
    return True


async def create(obj: JSON, around: Surroundings) -> None:
    """Create what is known not to be there; where it is there all the same, learn it.

    No other conflict counts as being there: work would wait for an event that never comes.
    """
    try:
        around.learn(await around.cluster.create(obj))
    except AlreadyExists:
        live = await around.cluster.get(ref_of(obj))
        if live is None:
            raise  # gone in between: the next try makes it
        around.learn(live)


async def remove(ref: Ref, around: Surroundings, *, grace: int | None = None) -> bool:
    """Ask for the deletion of an object that is known and not yet going."""
    live = around.store.get(ref)
    if live is None or live["metadata"].get("deletionTimestamp"):
        return False
    await around.cluster.delete(ref, grace=grace, uid=live["metadata"].get("uid"))
    return True


async def write_status(stored: JSON, status: Mapping[str, Any], around: Surroundings) -> bool:
    """Write a whole status, if it is another than the one stored."""
    if stored.get("status") == status:
        return False
    metadata = stored["metadata"]
    name = {key: metadata[key] for key in ("name", "namespace", "uid") if key in metadata}
    obj = {
        "apiVersion": stored["apiVersion"],
        "kind": stored["kind"],
        "metadata": name,
        "status": status,
    }
    try:
        around.learn(await around.cluster.apply_status(obj, manager=MANAGER))
    except NotFound:
        return False  # deleted meanwhile: nobody is left to tell
    return True


async def patch_spec(
    stored: JSON, spec: JSON, *, kept: Collection[str], around: Surroundings
) -> bool:
    """Turn the specification of an object into `spec`, leaving the fields in `kept` alone.

    A merge patch and not server-side apply: lists are replaced whole, so that what was
    taken away from a grant is also taken away here, whoever wrote it first.
    """
    changes = merge_patch(spec, stored["spec"], kept=kept)
    if not changes:
        return False
    patch = {"metadata": {"uid": stored["metadata"]["uid"]}, "spec": changes}
    try:
        around.learn(await around.cluster.patch(ref_of(stored), patch, manager=MANAGER))
    except NotFound:
        return False
    return True


async def hold(stored: JSON, around: Surroundings) -> bool:
    """Put our finalizer on an object: it is not forgotten before what it started has stopped."""
    if FINALIZER in stored["metadata"].get("finalizers", ()):
        return False
    around.learn(
        await around.cluster.apply(_finalizers(stored, [FINALIZER]), manager=_FINALIZER_MANAGER),
    )
    return True


async def let_go(ref: Ref, around: Surroundings) -> bool:
    """Take our finalizer off an object, as it stands after whatever was written before."""
    live = around.store.get(ref)
    present = [] if live is None else live["metadata"].get("finalizers", [])
    if live is None or FINALIZER not in present:
        return False
    patch = {
        "metadata": {
            "uid": live["metadata"]["uid"],
            "resourceVersion": live["metadata"]["resourceVersion"],
            "finalizers": [each for each in present if each != FINALIZER],
        }
    }
    try:
        await around.cluster.patch(ref, patch, manager=_FINALIZER_MANAGER)
    except NotFound:
        return False
    return True


def _finalizers(stored: JSON, finalizers: list[str]) -> JSON:
    metadata = stored["metadata"]
    return {
        "apiVersion": stored["apiVersion"],
        "kind": stored["kind"],
        "metadata": {"name": metadata["name"], "uid": metadata["uid"], "finalizers": finalizers},
    }
