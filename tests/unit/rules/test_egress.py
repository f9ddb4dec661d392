"""What a workspace may reach, attempt by attempt."""

from typing import Any

import pytest

from carrel.kinds.egress import EgressBudget
from carrel.rules import digest
from carrel.rules.egress import (
    DEFAULT_BUDGET,
    EgressRule,
    EgressRules,
    Outcome,
    Used,
    decide,
    egress_rules,
    listed_packages,
    within_budget,
)
from carrel.rules.egress_attempt import (
    Attempt,
    Connection,
    NameLookup,
    PackageRequest,
    belongs_to,
    normalised_project,
)
from carrel.rules.reasons import EGRESS
from support.samples import egress_policy

LISTED: dict[str, Any] = {
    "allow": "Listed",
    "packages": [{"index": "pypi", "projects": ["numpy", "scikit-image"]}],
}
NOTHING = egress_rules("nothing", egress_policy().spec)
IMAGING = egress_rules("imaging", egress_policy(**LISTED).spec)


def tcp(address: str, port: int = 443) -> Connection:
    return Connection(protocol="tcp", address=address, port=port)


def name(text: str, *, record_type: str = "A") -> NameLookup:
    return NameLookup(name=text, record_type=record_type, own_name="ws-lungs-0")


def package(project: str, filename: str | None = None, *, index: str = "pypi") -> PackageRequest:
    return PackageRequest(index=index, project=project, filename=filename)


ALLOWED = [
    (NOTHING, tcp("127.0.0.1", 8888), EgressRule.LOOPBACK),
    (NOTHING, tcp("127.8.8.8", 3141), EgressRule.LOOPBACK),
    (NOTHING, tcp("::1"), EgressRule.LOOPBACK),
    (NOTHING, tcp("::ffff:127.0.0.1"), EgressRule.LOOPBACK),
    (NOTHING, tcp("0.0.0.0"), EgressRule.LOOPBACK),  # noqa: S104 - a destination, nothing listens
    (NOTHING, name("localhost"), EgressRule.LOOPBACK),
    (NOTHING, name("a.LocalHost.", record_type="AAAA"), EgressRule.LOOPBACK),
    (NOTHING, name("WS-lungs-0."), EgressRule.OWN_NAME),
    (IMAGING, package("numpy"), EgressRule.PACKAGE_LISTED),
    (IMAGING, package("NumPy"), EgressRule.PACKAGE_LISTED),
    (IMAGING, package("Scikit_.Image"), EgressRule.PACKAGE_LISTED),
    (
        IMAGING,
        package("numpy", "numpy-2.3.1-cp311-cp311-manylinux_2_28_x86_64.whl"),
        EgressRule.PACKAGE_LISTED,
    ),
    (
        IMAGING,
        package("numpy", "numpy-2.3.1-cp311-cp311-linux_x86_64.whl.metadata"),
        EgressRule.PACKAGE_LISTED,
    ),
    (IMAGING, package("scikit-image", "scikit_image-0.25.0.tar.gz"), EgressRule.PACKAGE_LISTED),
    (IMAGING, package("scikit-image", "scikit-image-0.9.zip"), EgressRule.PACKAGE_LISTED),
]
REFUSED = [
    (NOTHING, tcp("8.8.8.8"), EgressRule.NOTHING_ALLOWED),
    (
        NOTHING,
        Connection(protocol="icmp", address="2001:db8::1", port=None),
        EgressRule.NOTHING_ALLOWED,
    ),
    (NOTHING, tcp("::ffff:8.8.8.8"), EgressRule.NOTHING_ALLOWED),
    (NOTHING, tcp("169.254.169.254", 80), EgressRule.NOTHING_ALLOWED),
    (NOTHING, tcp("10.0.0.1"), EgressRule.NOTHING_ALLOWED),
    (NOTHING, package("numpy"), EgressRule.NOTHING_ALLOWED),
    (IMAGING, tcp("8.8.8.8"), EgressRule.NO_DIRECT_CONNECTION),
    (IMAGING, tcp("fe80::1%eth0"), EgressRule.NO_DIRECT_CONNECTION),
    (IMAGING, tcp("127.0.0.1.example.org"), EgressRule.ADDRESS_NOT_VALID),
    (IMAGING, tcp("127.1"), EgressRule.ADDRESS_NOT_VALID),
    (IMAGING, tcp(""), EgressRule.ADDRESS_NOT_VALID),
    (IMAGING, name("example.org"), EgressRule.NAME_NEVER_FORWARDED),
    (IMAGING, name("pypi.example"), EgressRule.NAME_NEVER_FORWARDED),
    (IMAGING, name("numpy"), EgressRule.NAME_NEVER_FORWARDED),
    (IMAGING, name("notlocalhost"), EgressRule.NAME_NEVER_FORWARDED),
    (IMAGING, name("localhost.example.org"), EgressRule.NAME_NEVER_FORWARDED),
    (IMAGING, name("."), EgressRule.NAME_NEVER_FORWARDED),
    (IMAGING, name(""), EgressRule.NAME_NEVER_FORWARDED),
    (IMAGING, name("\u202e\x00" + "a" * 300), EgressRule.NAME_NEVER_FORWARDED),
    (IMAGING, package("requests"), EgressRule.PACKAGE_NOT_LISTED),
    (IMAGING, package("nump"), EgressRule.PACKAGE_NOT_LISTED),
    (IMAGING, package("numpy", index="conda"), EgressRule.INDEX_NOT_LISTED),
    (IMAGING, package("numpy", index=""), EgressRule.INDEX_NOT_LISTED),
    (IMAGING, package("*"), EgressRule.PACKAGE_NAME_NOT_VALID),
    (IMAGING, package(""), EgressRule.PACKAGE_NAME_NOT_VALID),
    (IMAGING, package("../numpy"), EgressRule.PACKAGE_NAME_NOT_VALID),
    (IMAGING, package("numpy\n"), EgressRule.PACKAGE_NAME_NOT_VALID),
    (IMAGING, package("\u212aeras"), EgressRule.PACKAGE_NAME_NOT_VALID),
    (IMAGING, package("n" * 5000), EgressRule.PACKAGE_NAME_NOT_VALID),
    (IMAGING, package("numpy", "scipy-1.0.tar.gz"), EgressRule.FILE_NOT_SERVED),
    (IMAGING, package("numpy", "numpyx-1.0-py3-none-any.whl"), EgressRule.FILE_NOT_SERVED),
    (IMAGING, package("numpy", "numpy-1.0.exe"), EgressRule.FILE_NOT_SERVED),
    (IMAGING, package("numpy", "numpy-1.0.metadata"), EgressRule.FILE_NOT_SERVED),
    (IMAGING, package("numpy", "../numpy-1.0.tar.gz"), EgressRule.FILE_NOT_SERVED),
    (IMAGING, package("numpy", "numpy-1.0.tar.gz\x00"), EgressRule.FILE_NOT_SERVED),
    (IMAGING, package("numpy", ""), EgressRule.FILE_NOT_SERVED),
]


@pytest.mark.parametrize(("rules", "attempt", "rule"), ALLOWED)
def test_this_is_allowed(rules: EgressRules, attempt: Attempt, rule: EgressRule) -> None:
    ruling = decide(attempt, rules)
    assert (ruling.outcome, ruling.rule, ruling.todo) == (Outcome.ALLOWED, rule, "")
    assert ruling.sentence.endswith(".")


@pytest.mark.parametrize(("rules", "attempt", "rule"), REFUSED)
def test_this_is_refused_in_words_that_say_what_to_do(
    rules: EgressRules, attempt: Attempt, rule: EgressRule
) -> None:
    ruling = decide(attempt, rules)
    assert (ruling.outcome, ruling.rule) == (Outcome.REFUSED, rule)
    assert ruling.sentence.endswith(".")
    assert ruling.todo.endswith(".")
    said = ruling.sentence + ruling.todo
    assert said.isprintable()
    assert len(said) < 700


def test_a_refusal_names_the_policy_and_the_attempt() -> None:
    ruling = decide(package("requests"), IMAGING)
    assert ruling.sentence == (
        "The package 'requests' of index 'pypi' is not listed in EgressPolicy 'imaging'; nobody "
        "outside was asked for it."
    )
    assert ruling.todo == (
        "Ask the grant administrator for an EgressPolicy that lists 'requests', and all that it "
        "needs; look for a typing error first."
    )


def test_who_looks_up_the_index_is_told_of_the_mirror() -> None:
    assert "they ask the site's mirror" in decide(name("files.pypi.example"), IMAGING).todo
    assert "mirror. " not in decide(name("example.org"), NOTHING).todo


@pytest.mark.parametrize(
    "spec",
    [
        None,
        egress_policy(allow="Nothing", packages=LISTED["packages"]).spec,
        egress_policy(allow="Listed").spec,
    ],
    ids=["absent or unreadable", "Nothing, and yet packages", "Listed, and nothing is"],
)
def test_a_policy_that_is_missing_or_contradicts_itself_opens_nothing(spec: Any) -> None:
    rules = egress_rules("odd", spec)
    assert decide(package("numpy"), rules).rule is EgressRule.NOTHING_ALLOWED


def test_an_index_named_twice_lists_what_both_entries_list() -> None:
    twice = [{"index": "pypi", "projects": [each]} for each in ("numpy", "scipy")]
    rules = egress_rules("twice", egress_policy(allow="Listed", packages=twice).spec)
    assert rules.packages == {"pypi": {"numpy", "scipy"}}


def test_the_mirror_may_know_what_any_policy_lists() -> None:
    other = [{"index": "pypi", "projects": ["scipy"]}, {"index": "site", "projects": ["tools"]}]
    policies = (
        egress_policy(),
        egress_policy(**LISTED),
        egress_policy(allow="Listed", packages=other),
    )
    assert listed_packages(policies) == {
        "pypi": {"numpy", "scikit-image", "scipy"},
        "site": {"tools"},
    }


MIB = 2**20
SMALL = egress_rules(
    "small", egress_policy(**LISTED, budget={"requestsPerDay": 10, "mibPerDay": 5}).spec
)


@pytest.mark.parametrize(
    ("requests", "octets", "outcome", "rule"),
    [
        (0, 0, Outcome.ALLOWED, EgressRule.WITHIN_BUDGET),
        (9, 5 * MIB - 1, Outcome.ALLOWED, EgressRule.WITHIN_BUDGET),
        (10, 0, Outcome.REFUSED, EgressRule.REQUESTS_USED_UP),
        (9, 5 * MIB, Outcome.REFUSED, EgressRule.VOLUME_USED_UP),
        (11, 6 * MIB, Outcome.REFUSED, EgressRule.REQUESTS_USED_UP),
    ],
)
def test_a_day_has_a_budget(requests: int, octets: int, outcome: Outcome, rule: EgressRule) -> None:
    ruling = within_budget(Used(requests=requests, octets=octets), SMALL)
    assert (ruling.outcome, ruling.rule) == (outcome, rule)


def test_a_policy_without_a_budget_has_the_default_one() -> None:
    assert IMAGING.budget == DEFAULT_BUDGET
    assert SMALL.budget == EgressBudget(requests_per_day=10, mib_per_day=5)


def test_the_digest_of_a_policy_covers_what_it_lists_and_its_budget() -> None:
    budget = {"requestsPerDay": 10, "mibPerDay": 5}
    specs = (
        egress_policy().spec,
        egress_policy(**LISTED).spec,
        egress_policy(**LISTED, budget=budget).spec,
        egress_policy(**LISTED, budget=budget | {"mibPerDay": 6}).spec,
        egress_policy(allow="Listed", packages=[{"index": "pypi", "projects": ["numpy"]}]).spec,
    )
    assert len({digest(spec) for spec in specs}) == len(specs)


def test_policies_that_were_approved_before_lists_existed_keep_their_digest() -> None:
    assert digest(egress_policy().spec) == (
        "sha256:bba55e3770f8b448947d7720fe658209fbb2ab1c0bf8182ce65ed16bfe1178a2"
    )


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("NumPy", "numpy"),
        ("zope.interface", "zope-interface"),
        ("a--b__c..d", "a-b-c-d"),
        ("-a", None),
        ("a-", None),
        ("a b", None),
        ("é", None),
        ("", None),
    ],
)
def test_names_are_normalised_as_indexes_do(written: str, normalised: str | None) -> None:
    assert normalised_project(written) == normalised


@pytest.mark.parametrize(
    ("filename", "project", "belongs"),
    [
        ("zope.interface-5.0-cp311-cp311-linux_x86_64.whl", "zope-interface", True),
        ("zope-interface-5.0.tar.gz", "zope-interface", True),
        ("zope-interface-5.0.tar.gz", "zope", False),
        ("python-dateutil-2.9.0-1.tar.gz", "python-dateutil", True),
        ("py-1.11.0-py2.py3-none-any.whl", "py", True),
        ("numpy.whl", "numpy", False),
        ("numpy-1.0.egg", "numpy", False),
    ],
)
def test_a_file_says_whose_it_is(filename: str, project: str, *, belongs: bool) -> None:
    assert belongs_to(filename, project=project) is belongs


def test_every_rule_is_explained_on_the_reference_page() -> None:
    assert list(EGRESS) == list(EgressRule)
