"""What the operator is told, and what it says when that is wrong."""

import pytest

from carrel.cluster import JSON
from carrel.handlers.settings import Settings, SettingsError
from carrel.handlers.startup import StartupError, require_kinds
from carrel.kinds import KINDS
from carrel.render.crd import SCHEMA_REVISION_ANNOTATION, custom_resource_definition
from carrel.render.site import Toleration
from support import examples
from support.fake_cluster import FakeCluster

ENOUGH = {
    "CARREL_NAMESPACE": "carrel-system",
    "CARREL_PLATFORM_IMAGE": examples.PLATFORM_IMAGE,
    "CARREL_USER_PREFIX": "oidc:",
    "CARREL_NETWORK_POLICY": "Enforced",
    "CARREL_HOMES": "NodeImage",
    "CARREL_USER_NAMESPACES": "Used",
}


def test_the_environment_of_the_chart_is_enough():
    """Variables of other processes are left alone."""
    tolerations = '[{"key":"pool","operator":"Equal","value":"ws","effect":"NoSchedule"}]'
    settings = Settings.from_environment(
        {**ENOUGH, "CARREL_WORKSPACE_TOLERATIONS": tolerations, "CARREL_NODE_NAME": "node-1"}
    )
    assert settings.site == examples.SITE.__class__(
        **{
            **examples.SITE.__dict__,
            "tolerations": (Toleration(key="pool", value="ws", effect="NoSchedule"),),
        }
    )
    assert settings.facts == examples.FACTS


@pytest.mark.parametrize("name", ENOUGH)
def test_nothing_that_decides_has_a_default(name: str):
    """A forgotten variable must not choose for the administrator."""
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({key: value for key, value in ENOUGH.items() if key != name})


def test_an_image_by_tag_is_refused():
    """A tag may be another image tomorrow."""
    with pytest.raises(SettingsError, match="CARREL_PLATFORM_IMAGE"):
        Settings.from_environment({**ENOUGH, "CARREL_PLATFORM_IMAGE": "example.org/platform:1"})


async def _served(change: dict[str, str | None] | None = None) -> FakeCluster:
    """Return a cluster that serves every kind; annotations of grants changed as said."""
    cluster = FakeCluster(now=lambda: examples.NOW)
    for kind in KINDS:
        crd: JSON = custom_resource_definition(kind)
        if kind.resource.kind == "AccessGrant" and change:
            crd["metadata"]["annotations"].update(change)
        await cluster.create(crd)
    return cluster


async def test_the_operator_begins_where_every_kind_is_as_it_knows_it():
    """Same revision, same content."""
    await require_kinds(await _served())


async def test_a_newer_revision_is_accepted():
    """Kinds are only ever added to."""
    await require_kinds(await _served({SCHEMA_REVISION_ANNOTATION: "99"}))


async def test_a_missing_an_older_or_another_kind_is_refused_with_what_to_do():
    """It would lose or misread fields."""
    with pytest.raises(StartupError, match=r"kind_is_missing.*carrel-crds"):
        await require_kinds(FakeCluster(now=lambda: examples.NOW))
    with pytest.raises(StartupError, match="kind_is_older: accessgrants"):
        await require_kinds(await _served({SCHEMA_REVISION_ANNOTATION: "0"}))
    with pytest.raises(StartupError, match="kind_is_another: accessgrants"):
        await require_kinds(await _served({"carrel.dev/schema-digest": "sha256:0"}))
