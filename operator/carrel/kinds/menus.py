"""`WorkspaceClass`: the immutable menu of sizes and images that grants choose from."""

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

IMMUTABLE = "A menu entry is immutable: add a new one and let grants move to it."
"""What a person reads who edits a menu entry."""


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
        rules=(Rule(rule="self == oldSelf", field="spec", message=IMMUTABLE),),
    )

    kind: Literal["WorkspaceClass"] = "WorkspaceClass"
    """WorkspaceClass."""
    spec: WorkspaceClassSpec
    """The size and the image."""
    status: MenuStatus = MenuStatus()
    """What was observed."""
