"""`EgressPolicy`: the immutable menu of what may be reached from a workspace."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from carrel.kinds.menus import IMMUTABLE, MenuStatus
from carrel.kinds.resource import Column, Kind, Label, Model, Resource, Rule, Scope, Sentence

PackageName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=1, max_length=100)
]
"""A project of a package index, normalised (PEP 503): lower case, one hyphen for `.`, `_`, `-`."""


class EgressAllowance(StrEnum):
    """What a policy opens."""

    NOTHING = "Nothing"
    """No destination at all."""
    LISTED = "Listed"
    """What the policy lists, and nothing else."""


class PackageList(Model):
    """Packages of one index that may be installed from the site's mirror."""

    index: Label
    """Name of the index at the site's mirror, such as pypi."""
    projects: Annotated[
        tuple[PackageName, ...],
        Field(min_length=1, max_length=1000, json_schema_extra={"x-list-type": "set"}),
    ]
    """Names of packages as PEP 503 normalises them (lower case, hyphens); no wildcards."""


class EgressBudget(Model):
    """How much all workspaces of a grant together may fetch in a day (UTC)."""

    requests_per_day: Annotated[int, Field(ge=1, le=1_000_000)]
    """Requests that the mirror answers."""
    mib_per_day: Annotated[int, Field(ge=1, le=16_777_216)]
    """MiB that the mirror sends."""


class EgressPolicySpec(Model):
    """What may be reached from a workspace."""

    title: Sentence
    """What people call it."""
    allow: EgressAllowance
    """Nothing opens no destination; Listed opens what is listed here."""
    # The lists below are absent, not empty, where nothing is listed: the digest of a policy that
    # was approved before they existed must stay what it was.
    packages: (
        Annotated[
            tuple[PackageList, ...],
            Field(
                min_length=1,
                max_length=8,
                json_schema_extra={"x-list-type": "map", "x-list-map-keys": ["index"]},
            ),
        ]
        | None
    ) = None
    """Packages that may be installed from the site's mirror, one entry for each index."""
    budget: EgressBudget | None = None
    """Limits of a day; absent means 2,000 requests and 4,096 MiB."""


class EgressPolicy(Kind):
    """What may be reached from a workspace."""

    resource: ClassVar[Resource] = Resource(
        kind="EgressPolicy",
        plural="egresspolicies",
        scope=Scope.CLUSTER,
        short_names=("egress",),
        columns=(
            Column(name="Allow", path=".spec.allow"),
            Column(name="Title", path=".spec.title"),
        ),
        rules=(
            Rule(rule="self == oldSelf", field="spec", message=IMMUTABLE),
            Rule(
                rule="self.allow != 'Nothing' || (!has(self.packages) && !has(self.budget))",
                field="spec",
                message="allow Nothing contradicts packages and budget: remove both, or write "
                "allow: Listed.",
            ),
            Rule(
                rule="self.allow != 'Listed' || has(self.packages)",
                field="spec",
                message="allow Listed needs packages: list at least one package, or write "
                "allow: Nothing.",
            ),
        ),
    )

    kind: Literal["EgressPolicy"] = "EgressPolicy"
    """EgressPolicy."""
    spec: EgressPolicySpec
    """What is opened."""
    status: MenuStatus = MenuStatus()
    """What was observed."""
