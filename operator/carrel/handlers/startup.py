"""What must hold before the operator begins."""

from carrel.cluster import Cluster, Ref
from carrel.cluster.refs import CUSTOM_RESOURCE_DEFINITION
from carrel.kinds import KINDS
from carrel.render.crd import (
    SCHEMA_DIGEST_ANNOTATION,
    SCHEMA_REVISION,
    SCHEMA_REVISION_ANNOTATION,
    custom_resource_definition,
)

_MENDING = "install the chart carrel-crds of this version first, then start the operator again"


class StartupError(Exception):
    """The operator does not begin; the message says why and what to do."""


async def require_kinds(cluster: Cluster) -> None:
    """Raise StartupError unless every kind is served as this version knows it.

    A newer revision is accepted, because kinds are only ever added to; an older one, or one
    of our own revision with another content, would lose or misread fields.
    """
    for kind in KINDS:
        name = kind.resource.crd_name
        stored = await cluster.get(Ref(CUSTOM_RESOURCE_DEFINITION, name))
        if stored is None:
            raise StartupError(f"kind_is_missing: {name} is not installed; {_MENDING}")
        wanted = custom_resource_definition(kind)["metadata"]["annotations"]
        found = stored["metadata"].get("annotations", {})
        revision = found.get(SCHEMA_REVISION_ANNOTATION, "0")
        if not revision.isdecimal() or int(revision) < SCHEMA_REVISION:
            raise StartupError(
                f"kind_is_older: {name} is of revision {revision}, this version needs "
                f"{SCHEMA_REVISION}; {_MENDING}"
            )
        same = found.get(SCHEMA_DIGEST_ANNOTATION) == wanted[SCHEMA_DIGEST_ANNOTATION]
        if int(revision) == SCHEMA_REVISION and not same:
            raise StartupError(
                f"kind_is_another: {name} says revision {revision} and has another content "
                f"than this version's; {_MENDING}"
            )
