"""Retiring the platform: in order, to the end or not at all."""

from datetime import UTC, datetime, timedelta

import pytest
from typing_extensions import override

from carrel.cluster import JSON, KindRef, Ref
from carrel.cluster.refs import POD
from carrel.flows.clock import Clock
from carrel.flows.retirement import (
    STATEFUL_SET,
    RetirementError,
    Running,
    retire,
    what_runs,
)
from carrel.kinds import AccessGrant, NodeReport, Workspace
from support.fake_cluster import FakeCluster

OPERATOR = Ref(STATEFUL_SET, "carrel-operator", "carrel-system")
FINALIZER = "carrel.dev/stop-before-release"
GRANT = Ref(KindRef.of(AccessGrant), "lung")
WORKSPACE = Ref(KindRef.of(Workspace), "ws-lung", "ws-lung")
REPORT = Ref(KindRef.of(NodeReport), "node-1.ws-lung")
DESK = Ref(POD, "desk", "ws-lung")


class RunningClock(Clock):
    """A second passes each time somebody looks."""

    def __init__(self) -> None:
        self._moment = datetime(2027, 1, 1, tzinfo=UTC)

    @override
    def now(self) -> datetime:
        self._moment += timedelta(seconds=1)
        return self._moment


class World(FakeCluster):
    """A platform with one grant, whose node answers some lists after the suspension."""

    def __init__(self, clock: Clock, *, lists_until_empty: int | None) -> None:
        super().__init__(now=clock.now)
        self._left = lists_until_empty
        for ref, spec, finalizers in (
            (GRANT, {"state": "Active"}, [FINALIZER, "example.org/other"]),
            (WORKSPACE, {"admission": "Open"}, [FINALIZER]),
            (REPORT, {"node": "node-1"}, []),
            (OPERATOR, {"replicas": 1}, []),
            (DESK, {}, []),
        ):
            metadata = {"name": ref.name, "resourceVersion": "1", "generation": 1}
            if ref.namespace:
                metadata["namespace"] = ref.namespace
            if finalizers:
                metadata["finalizers"] = finalizers
            self.objects[ref] = {"metadata": metadata, "spec": spec, "status": {}}
        self.objects[DESK]["metadata"]["labels"] = {"carrel.dev/role": "workspace"}
        self.objects[REPORT]["status"] = self._report("False")

    @staticmethod
    def _report(empty: str) -> JSON:
        return {"podUID": "uid", "conditions": [{"type": "CgroupEmpty", "status": empty}]}

    @override
    async def list(self, kind: KindRef, **selectors: object) -> list[JSON]:
        if kind == REPORT.kind and self._left is not None:
            self._left -= 1
            if self._left == 0:
                self.objects.pop(DESK)
                self.objects[REPORT]["status"] = self._report("True")
        return await super().list(kind, labels=selectors.get("labels"))  # type: ignore[arg-type]  # as the caller gave it


async def _retire(world: World, clock: Clock) -> list[str]:
    said: list[str] = []
    await retire(
        world, operator=OPERATOR, clock=clock, deadline=timedelta(seconds=30), say=said.append
    )
    return said


async def test_grants_are_suspended_before_the_operator_stops_and_finalizers_go_last():
    """Any other order leaves something running or something hanging."""
    clock = RunningClock()
    world = World(clock, lists_until_empty=3)
    said = await _retire(world, clock)
    assert world.writes == [
        f"patch {GRANT}",
        f"patch {OPERATOR}",
        f"patch {WORKSPACE}",
        f"patch {GRANT}",
    ]
    assert world.objects[GRANT]["spec"] == {"state": "Suspended"}
    assert world.objects[GRANT]["metadata"]["finalizers"] == ["example.org/other"]
    assert world.objects[WORKSPACE]["metadata"]["finalizers"] == []
    assert world.objects[OPERATOR]["spec"] == {"replicas": 0}
    assert said == [
        "suspended 1 grants",
        "nothing runs",
        "the operator has stopped",
        "removed the finalizers of 2 objects",
    ]


async def test_what_still_runs_at_the_deadline_is_named_and_everything_stays():
    """Only the grants are suspended then."""
    clock = RunningClock()
    world = World(clock, lists_until_empty=None)
    with pytest.raises(RetirementError, match=r"ws-lung/desk.*node-1\.ws-lung"):
        await _retire(world, clock)
    assert world.writes == [f"patch {GRANT}"]
    assert world.objects[OPERATOR]["spec"] == {"replicas": 1}


async def test_a_second_run_goes_on_and_a_third_has_nothing_to_do():
    """A deadline is not the end."""
    clock = RunningClock()
    world = World(clock, lists_until_empty=None)
    with pytest.raises(RetirementError):
        await _retire(world, clock)
    world._left = 1
    await _retire(world, clock)
    world.writes.clear()
    await _retire(world, clock)
    assert world.writes == []


async def test_a_grant_that_comes_in_between_is_suspended_too():
    """An administrator, or a tool that keeps applying, does not slip through."""
    clock = RunningClock()
    world = World(clock, lists_until_empty=2)
    world.objects[GRANT]["spec"] = {"state": "Suspended"}
    late = Ref(GRANT.kind, "late")

    world.objects[late] = {
        "metadata": {"name": "late", "resourceVersion": "1", "generation": 1},
        "spec": {"state": "Active"},
        "status": {},
    }
    await _retire(world, clock)
    assert world.objects[late]["spec"] == {"state": "Suspended"}


def _named(name: str, status: JSON | None = None) -> JSON:
    return {"metadata": {"name": name, "namespace": "ws"}, "status": status or {}}


@pytest.mark.parametrize(
    ("status", "unproven"),
    [
        ({}, ()),
        ({"podUID": "uid"}, ("report",)),
        ({"podUID": "uid", "conditions": []}, ("report",)),
        (World._report("Unknown"), ("report",)),
        (World._report("False"), ("report",)),
        (World._report("True"), ()),
    ],
)
def test_only_a_node_that_saw_the_cgroup_empty_is_believed(status: JSON, unproven: tuple[str, ...]):
    """Unknown is not empty; a report that speaks of no pod says nothing."""
    assert what_runs(pods=[], reports=[_named("report", status)]) == Running(
        pods=(), unproven=unproven
    )


def test_a_refusal_names_five_and_counts_the_rest():
    """A message is read by a person."""
    running = what_runs(pods=[_named(f"desk-{n}") for n in range(7)], reports=[])
    assert running.sentence() == (
        "workspace pods: ws/desk-0, ws/desk-1, ws/desk-2, ws/desk-3, ws/desk-4 and 2 more"
    )
