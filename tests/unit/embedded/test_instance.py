"""Names, addresses and the record of an instance."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.embedded import EmbeddedError, Instance, Network, Person
from carrel.embedded import instance as instances


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARREL_STATE", str(tmp_path))
    return tmp_path


def allocated(name: str) -> Instance:
    with instances.allocation_lock():
        return instances.allocate(name, port=8443, network=Network.BRIDGE)


def test_an_instance_is_read_back_as_it_was_allocated(root: Path) -> None:
    made = allocated("one")
    assert instances.read_instance("one") == made
    assert made == Instance(
        name="one", index=0, state=root / "one", port=8443, network=Network.BRIDGE
    )


def test_every_instance_has_addresses_of_its_own() -> None:
    made = [allocated(f"n{number}") for number in range(instances.INSTANCES_AT_MOST)]
    for of in ("node_ip", "host_ip", "host_link", "netns", "internet_netns", "cgroup"):
        assert len({getattr(one, of) for one in made}) == instances.INSTANCES_AT_MOST, of
    with pytest.raises(EmbeddedError, match="10 instances exist already"):
        allocated("one-more")


def test_an_index_that_became_free_is_used_again_and_a_kept_one_stays() -> None:
    first, second = allocated("first"), allocated("second")
    instances.forget(first)
    assert allocated("third").index == first.index
    assert allocated("second").index == second.index


@pytest.mark.parametrize(
    "name",
    ["", "A", "1a", "a-", "-a", "a.b", "a/../b", "x" * 21, "a-internet", "ä", "a b", "a\n"],
)
def test_a_name_that_could_not_name_a_node_is_refused(name: str) -> None:
    with pytest.raises(EmbeddedError, match="cannot name an instance"):
        instances.check_name(name)


@given(st.from_regex(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?", fullmatch=True))
def test_what_is_allowed_fits_everything_that_is_called_like_it(name: str) -> None:
    if name.endswith("-internet"):
        return
    made = Instance(
        name=instances.check_name(name),
        index=9,
        state=Path("/s") / name,
        port=1,
        network=Network.BRIDGE,
    )
    assert len(made.host_link) <= 15
    assert made.netns != made.internet_netns


def test_a_broken_record_is_no_instance(root: Path) -> None:
    allocated("one")
    (root / "one" / "instance.json").write_text("{", encoding="utf-8")
    assert instances.read_instance("one") is None
    assert instances.every_instance() == ()


def test_whoever_holds_the_instance_is_seen_and_is_alone() -> None:
    made = allocated("one")
    assert not instances.is_running(made)
    with instances.hold_alive(made):
        assert instances.is_running(made)
        with pytest.raises(EmbeddedError, match="already being run"):
            instances.hold_alive(made)
    assert not instances.is_running(made)


def test_a_stopped_instance_is_refused_with_the_command_that_starts_it() -> None:
    allocated("one")
    with pytest.raises(EmbeddedError, match="carrel cluster up --instance one"):
        instances.find_instance("one")


def test_an_unknown_person_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EmbeddedError, match="choose one of admin, grant-admin"):
        allocated("one").kubeconfig("root")


def test_people_have_subjects_that_cannot_be_system_names() -> None:
    assert {person.subject for person in Person} == {f"demo-{person.value}" for person in Person}
