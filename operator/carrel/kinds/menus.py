"""`WorkspaceClass` and `EgressPolicy`: immutable menus that grants choose from."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from carrel.kinds.resource import (
    Column,
    Conditions,
    Count,
    Kind,
    Model,
    Resource,
    Rule,
    Scope,
    Sentence,
)

ImageByDigest = Annotated[
    str, StringConstraints(pattern=r"^[^@\s]+@sha256:[0-9a-f]{64}$", max_length=512)
]
"""An image reference that names its content."""

_IMMUTABLE = "A menu entry is immutable: add a new one and let grants move to it."


class GPU(Model):
    """Whole GPUs or MIG slices; never time-sliced, never shared."""

    resource: Annotated[
        str, StringConstraints(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9.-]+$", max_length=128)
    ]
    """Extended resource, such as nvidia.com/gpu."""
    count: Annotated[int, Field(ge=1, le=16)]
    """How many."""


class WorkspaceClassSpec(Model):
    """Size and image of a workspace."""

    title: Sentence
    """What people call it."""
    image: ImageByDigest
    """Workspace image by digest."""
    cpu_millis: Annotated[int, Field(ge=100, le=256_000)]
    """CPU limit in thousandths of a core."""
    memory_mib: Annotated[int, Field(ge=256, le=4_194_304, alias="memoryMiB")]
    """Memory limit in MiB."""
    scratch_mib: Annotated[int, Field(ge=64, le=16_777_216, alias="scratchMiB")]
    """Scratch space in MiB, gone when the workspace stops."""
    shared_memory_mib: Annotated[int, Field(ge=16, le=1_048_576, alias="sharedMemoryMiB")]
    """Size of /dev/shm in MiB, counted within memory."""
    home_mib: Annotated[int, Field(ge=64, le=16_777_216, alias="homeMiB")]
    """Size of the home in MiB."""
    gpu: GPU | None = None
    """GPUs; absent means none, and none is visible."""


class MenuStatus(Model):
    """What the operator observed."""

    conditions: Conditions = ()
    """None yet."""
    observed_generation: Count = 0
    """The specification that was looked at."""


class WorkspaceClass(Kind):
    """A size and an image that a grant may choose."""

    resource: ClassVar[Resource] = Resource(
        kind="WorkspaceClass",
        plural="workspaceclasses",
        scope=Scope.CLUSTER,
        short_names=("wsclass",),
        columns=(
            Column(name="CPU", path=".spec.cpuMillis", type="integer"),
            Column(name="MiB", path=".spec.memoryMiB", type="integer"),
            Column(name="GPU", path=".spec.gpu.count", type="integer"),
        ),
        rules=(Rule(rule="self == oldSelf", field="spec", message=_IMMUTABLE),),
    )

    kind: Literal["WorkspaceClass"] = "WorkspaceClass"
    """WorkspaceClass."""
    spec: WorkspaceClassSpec
    """The size and the image."""
    status: MenuStatus = MenuStatus()
    """What was observed."""


class EgressAllowance(StrEnum):
    """What a policy opens."""

    NOTHING = "Nothing"
    """No destination at all."""


class EgressPolicySpec(Model):
    """What may be reached from a workspace."""

    title: Sentence
    """What people call it."""
    allow: EgressAllowance
    """Nothing: in this version no destination can be opened."""


class EgressPolicy(Kind):
    """What may be reached from a workspace."""

    resource: ClassVar[Resource] = Resource(
        kind="EgressPolicy",
        plural="egresspolicies",
        scope=Scope.CLUSTER,
        short_names=("egress",),
        columns=(Column(name="Allow", path=".spec.allow"),),
        rules=(Rule(rule="self == oldSelf", field="spec", message=_IMMUTABLE),),
    )

    kind: Literal["EgressPolicy"] = "EgressPolicy"
    """EgressPolicy."""
    spec: EgressPolicySpec
    """What is opened."""
    status: MenuStatus = MenuStatus()
    """What was observed."""
