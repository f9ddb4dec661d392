"""What holds of every policy and every attempt."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from carrel.kinds.egress import EgressPolicySpec
from carrel.rules.egress import Outcome, Used, decide, egress_rules, within_budget
from carrel.rules.egress_attempt import Attempt, Connection, NameLookup, PackageRequest
from support.samples import egress_policy

PROJECTS = ("numpy", "scipy", "pydicom", "scikit-image", "zope-interface")
INDEXES = ("pypi", "site")
BUDGETS = st.none() | st.fixed_dictionaries(
    {"requestsPerDay": st.integers(1, 5000), "mibPerDay": st.integers(1, 9000)}
)
LISTS = st.dictionaries(
    st.sampled_from(INDEXES),
    st.lists(st.sampled_from(PROJECTS), min_size=1, unique=True),
    min_size=1,
)
TEXTS = st.text(max_size=300)

CONNECTIONS = st.builds(
    Connection,
    protocol=st.sampled_from(("tcp", "udp", "icmp")) | TEXTS,
    address=st.ip_addresses().map(str) | st.sampled_from(("127.0.0.1", "::1")) | TEXTS,
    port=st.none() | st.integers(0, 65535),
)
LOOKUPS = st.builds(
    NameLookup,
    name=st.sampled_from(("localhost", "ws-0", "pypi.example")) | TEXTS,
    record_type=st.sampled_from(("A", "AAAA", "TXT")),
    own_name=st.just("ws-0"),
)
REQUESTS = st.builds(
    PackageRequest,
    index=st.sampled_from(INDEXES) | TEXTS,
    project=st.sampled_from((*PROJECTS, "NumPy", "zope.interface", "torch")) | TEXTS,
    filename=st.none() | st.sampled_from(("numpy-1.0.tar.gz", "scipy-1-py3-none-any.whl")) | TEXTS,
)
ATTEMPTS = CONNECTIONS | LOOKUPS | REQUESTS


def spec_of(packages: dict[str, list[str]], budget: Any) -> EgressPolicySpec:
    """Return the specification of a policy that lists `packages`, or opens nothing."""
    if not packages:
        return egress_policy().spec
    entries = [{"index": index, "projects": names} for index, names in packages.items()]
    more = {} if budget is None else {"budget": budget}
    return egress_policy(allow="Listed", packages=entries, **more).spec


@st.composite
def narrowed(draw: st.DrawFn, packages: dict[str, list[str]]) -> dict[str, list[str]]:
    """Draw a part of what is listed."""
    less = {
        index: draw(st.lists(st.sampled_from(names), unique=True))
        for index, names in packages.items()
    }
    return {index: names for index, names in less.items() if names}


@given(packages=LISTS, attempt=ATTEMPTS, data=st.data())
def test_narrowing_a_policy_never_widens(
    packages: dict[str, list[str]], attempt: Attempt, data: st.DataObject
) -> None:
    less = egress_rules("p", spec_of(data.draw(narrowed(packages)), None))
    whole = egress_rules("p", spec_of(packages, None))
    if decide(attempt, less).outcome is Outcome.ALLOWED:
        assert decide(attempt, whole).outcome is Outcome.ALLOWED


@given(packages=LISTS, attempt=CONNECTIONS | LOOKUPS)
def test_no_list_opens_an_address_or_a_name(
    packages: dict[str, list[str]], attempt: Attempt
) -> None:
    listed = decide(attempt, egress_rules("p", spec_of(packages, None)))
    nothing = decide(attempt, egress_rules("p", spec_of({}, None)))
    assert listed.outcome is nothing.outcome


@given(attempt=REQUESTS)
def test_a_policy_that_opens_nothing_refuses_every_package(attempt: Attempt) -> None:
    assert decide(attempt, egress_rules("p", spec_of({}, None))).outcome is Outcome.REFUSED


@given(
    attempt=st.ip_addresses().map(lambda at: Connection(protocol="tcp", address=str(at), port=443))
)
def test_a_policy_that_opens_nothing_refuses_every_address_outside(attempt: Connection) -> None:
    outside = not attempt.address.startswith(("127.", "0.0.0.0", "::"))  # noqa: S104 - a text
    ruling = decide(attempt, egress_rules("p", None))
    assert not outside or ruling.outcome is Outcome.REFUSED


@given(packages=LISTS, attempt=ATTEMPTS)
def test_every_ruling_can_be_read(packages: dict[str, list[str]], attempt: Attempt) -> None:
    ruling = decide(attempt, egress_rules("p", spec_of(packages, None)))
    assert ruling.sentence.isprintable()
    assert len(ruling.sentence) <= 1024
    assert (ruling.todo == "") == (ruling.outcome is Outcome.ALLOWED)


@given(
    packages=LISTS,
    budget=BUDGETS,
    used=st.tuples(st.integers(0, 6000), st.integers(0, 10_000 * 2**20)),
    more=st.tuples(st.integers(0, 6000), st.integers(0, 2**40)),
)
def test_having_had_more_never_gives_more(
    packages: dict[str, list[str]], budget: Any, used: tuple[int, int], more: tuple[int, int]
) -> None:
    rules = egress_rules("p", spec_of(packages, budget))
    before = within_budget(Used(requests=used[0], octets=used[1]), rules)
    after = within_budget(Used(requests=used[0] + more[0], octets=used[1] + more[1]), rules)
    if after.outcome is Outcome.ALLOWED:
        assert before.outcome is Outcome.ALLOWED
