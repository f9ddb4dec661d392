"""What a workspace may reach, and why not: one decision for every place that asks.

The resolver, the mirror, the lock's reports, `carrel explain` and `carrel why` all say what
`decide` says. In this version nothing but packages can be opened: addresses are never
reached and names never leave, whatever a policy lists.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType

from carrel.kinds import EgressPolicy
from carrel.kinds.egress import EgressAllowance, EgressBudget, EgressPolicySpec
from carrel.rules.egress_attempt import (
    Attempt,
    Connection,
    NameLookup,
    PackageRequest,
    belongs_to,
    distribution_of,
    normalised_project,
    visible,
)

DEFAULT_BUDGET = EgressBudget(requests_per_day=2_000, mib_per_day=4_096)
"""Holds where a policy that lists packages names no budget."""
PAGE = "docs/reference/egress.md"
"""Where every rule is explained."""


class Outcome(StrEnum):
    """What becomes of an attempt."""

    ALLOWED = "allowed"
    REFUSED = "refused"


class EgressRule(StrEnum):
    """The rule that decided; names never change, because records bear them."""

    LOOPBACK = "egress.loopback"
    OWN_NAME = "egress.own_name"
    PACKAGE_LISTED = "egress.package_listed"
    WITHIN_BUDGET = "egress.within_budget"
    NOTHING_ALLOWED = "egress.nothing_allowed"
    NO_DIRECT_CONNECTION = "egress.no_direct_connection"
    ADDRESS_NOT_VALID = "egress.address_not_valid"
    NAME_NEVER_FORWARDED = "egress.name_never_forwarded"
    INDEX_NOT_LISTED = "egress.index_not_listed"
    PACKAGE_NOT_LISTED = "egress.package_not_listed"
    PACKAGE_NAME_NOT_VALID = "egress.package_name_not_valid"
    FILE_NOT_SERVED = "egress.file_not_served"
    REQUESTS_USED_UP = "egress.requests_used_up"
    VOLUME_USED_UP = "egress.volume_used_up"


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What was decided, in words for the person who tried."""

    outcome: Outcome
    """Allowed or refused."""
    rule: EgressRule
    """The rule that decided."""
    sentence: str
    """What was decided of what, and under which policy."""
    todo: str
    """What the person can do; empty where it is allowed."""


@dataclass(frozen=True, kw_only=True)
class EgressRules:
    """An `EgressPolicy` ready for deciding."""

    policy: str
    """Name of the policy."""
    packages: Mapping[str, frozenset[str]]
    """Index -> normalised names of its packages; empty where nothing is open."""
    budget: EgressBudget
    """Limits of a day."""


@dataclass(frozen=True, kw_only=True)
class Used:
    """What the workspaces of a grant have had from the mirror today (UTC)."""

    requests: int
    """Requests answered."""
    octets: int
    """Bytes sent."""


def egress_rules(policy: str, spec: EgressPolicySpec | None) -> EgressRules:
    """Return the rules of a policy; of one that is absent or unreadable (None), the closed ones.

    Where a policy contradicts itself (admission refuses that, a stored object might) the
    closed reading wins.
    """
    packages: dict[str, frozenset[str]] = {}
    if spec is not None and spec.allow is EgressAllowance.LISTED:
        for entry in spec.packages or ():
            packages[entry.index] = packages.get(entry.index, frozenset()) | set(entry.projects)
    return EgressRules(
        policy=policy,
        packages=MappingProxyType(packages),
        budget=(spec.budget if spec is not None else None) or DEFAULT_BUDGET,
    )


def listed_packages(policies: Iterable[EgressPolicy]) -> Mapping[str, frozenset[str]]:
    """Return what any of `policies` lists, by index: what the site's mirror may know at all."""
    listed: dict[str, frozenset[str]] = {}
    for policy in policies:
        rules = egress_rules(policy.metadata.name, policy.spec)
        for index, projects in rules.packages.items():
            listed[index] = listed.get(index, frozenset()) | projects
    return MappingProxyType(listed)


def decide(attempt: Attempt, policy: EgressRules) -> Ruling:
    """Decide one attempt under one policy."""
    match attempt:
        case Connection():
            return _connection(attempt, policy)
        case NameLookup():
            return _name(attempt, policy)
        case PackageRequest():
            return _package(attempt, policy)


def within_budget(used: Used, policy: EgressRules) -> Ruling:
    """Decide whether one more request fits into the day; asked after `decide` has allowed it."""
    budget = policy.budget
    if used.requests >= budget.requests_per_day:
        spent, rule = f"{budget.requests_per_day:,} requests", EgressRule.REQUESTS_USED_UP
    elif used.octets >= budget.mib_per_day * 2**20:
        spent, rule = f"{budget.mib_per_day:,} MiB", EgressRule.VOLUME_USED_UP
    else:
        return _allowed(EgressRule.WITHIN_BUDGET, "Today's budget is not used up.")
    return _refused(
        rule,
        f"The workspaces of this grant have had today's {spent} from the mirror, which is all "
        f"that EgressPolicy {policy.policy!r} gives for a day.",
        "Go on after midnight UTC, or ask the grant administrator for a policy with a larger "
        "budget. Files that are already here need not be fetched again.",
    )


def _connection(attempt: Connection, policy: EgressRules) -> Ruling:
    what = visible(_endpoint(attempt))
    try:
        address = ip_address(attempt.address)
    except ValueError:
        return _refused(
            EgressRule.ADDRESS_NOT_VALID,
            f"{what} is not an address.",
            "Write an IPv4 or IPv6 address; names are looked up, not connected to.",
        )
    if _is_here(address):
        return _allowed(EgressRule.LOOPBACK, f"{what} is inside the workspace.")
    return _outside(what, policy)


def refused_packet(attempt: Connection, policy: EgressRules) -> Ruling:
    """Say why a packet was refused that the lock did refuse, as `decide` says it beforehand.

    A packet may bear an address that means the workspace itself, or none that can be told.
    """
    ruling = decide(attempt, policy)
    odd = ruling.outcome is Outcome.ALLOWED or ruling.rule is EgressRule.ADDRESS_NOT_VALID
    return _outside(f"A packet ({visible(attempt.protocol)})", policy) if odd else ruling


def _outside(what: str, policy: EgressRules) -> Ruling:
    if not policy.packages:
        return _refused(
            EgressRule.NOTHING_ALLOWED,
            f"{what} is outside the workspace, and EgressPolicy {policy.policy!r} opens nothing.",
            _ask_for_packages(policy),
        )
    return _refused(
        EgressRule.NO_DIRECT_CONNECTION,
        f"{what} is outside the workspace, and no EgressPolicy opens an address: "
        f"{policy.policy!r} opens packages from the site's mirror only.",
        "Install software with pip or uv, which ask the mirror. Data comes in as a dataset: ask "
        "your data manager.",
    )


def _is_here(address: IPv4Address | IPv6Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    # The kernel takes 0.0.0.0 and :: as a destination for the loopback address.
    return (mapped or address).is_loopback or (mapped or address).is_unspecified


def _endpoint(attempt: Connection) -> str:
    if attempt.port is None:
        return f"{attempt.protocol} {attempt.address}"
    host = f"[{attempt.address}]" if ":" in attempt.address else attempt.address
    return f"{attempt.protocol} {host}:{attempt.port}"


_INDEX_LABELS = frozenset({"pypi", "python"})
"""Parts of the names under which public indexes of packages are known."""


def _name(attempt: NameLookup, policy: EgressRules) -> Ruling:
    name = attempt.name.removesuffix(".").lower()
    shown = visible(attempt.name)
    if name == "localhost" or name.endswith(".localhost"):
        return _allowed(EgressRule.LOOPBACK, f"{shown!r} is the workspace itself (RFC 6761).")
    if name and name == attempt.own_name.removesuffix(".").lower():
        return _allowed(EgressRule.OWN_NAME, f"{shown!r} is the workspace itself.")
    if _INDEX_LABELS & set(name.split(".")):
        todo = "Install with pip or uv as they are set up here: they ask the site's mirror. "
    else:
        todo = "Nothing outside can be reached by name. "
    return _refused(
        EgressRule.NAME_NEVER_FORWARDED,
        f"{shown!r} was not looked up: no name leaves a workspace, whatever its EgressPolicy "
        f"({policy.policy!r}) lists.",
        todo + _ask_for_packages(policy),
    )


def _package(attempt: PackageRequest, policy: EgressRules) -> Ruling:
    what = f"package {visible(attempt.project)!r} of index {visible(attempt.index)!r}"
    refused = _unlisted(attempt, policy, what=what)
    if refused is not None or attempt.filename is None:
        return refused or _listed(what, policy)
    project = normalised_project(attempt.project) or ""
    file = visible(attempt.filename)
    if distribution_of(attempt.filename) is None:
        return _refused(
            EgressRule.FILE_NOT_SERVED,
            f"{file!r} is neither a wheel nor a source archive, and the mirror serves no other "
            "files.",
            "Install the package with pip or uv, which choose among the files that are served.",
        )
    if not belongs_to(attempt.filename, project=project):
        return _refused(
            EgressRule.FILE_NOT_SERVED,
            f"{file!r} is by its name no file of {what}.",
            "Install the package with pip or uv, which follow the links of its page.",
        )
    return _listed(f"{file!r} of {what}", policy)


def _unlisted(attempt: PackageRequest, policy: EgressRules, *, what: str) -> Ruling | None:
    project = normalised_project(attempt.project)
    if not policy.packages:
        return _refused(
            EgressRule.NOTHING_ALLOWED,
            f"The {what} is not open: EgressPolicy {policy.policy!r} opens nothing.",
            _ask_for_packages(policy),
        )
    if project is None:
        return _refused(
            EgressRule.PACKAGE_NAME_NOT_VALID,
            f"{visible(attempt.project)!r} is no name of a package (PEP 508).",
            "Names have letters, digits and . _ - between them; look for a typing error.",
        )
    if attempt.index not in policy.packages:
        indexes = ", ".join(sorted(policy.packages))
        return _refused(
            EgressRule.INDEX_NOT_LISTED,
            f"The {what} is not open: EgressPolicy {policy.policy!r} lists packages of "
            f"{indexes} only.",
            _ask_for_packages(policy),
        )
    if project not in policy.packages[attempt.index]:
        return _refused(
            EgressRule.PACKAGE_NOT_LISTED,
            f"The {what} is not listed in EgressPolicy {policy.policy!r}; nobody outside was "
            "asked for it.",
            f"Ask the grant administrator for an EgressPolicy that lists {project!r}, and all "
            "that it needs; look for a typing error first.",
        )
    return None


def _listed(what: str, policy: EgressRules) -> Ruling:
    return _allowed(
        EgressRule.PACKAGE_LISTED,
        f"{what[0].upper()}{what[1:]} may be fetched from the site's mirror: EgressPolicy "
        f"{policy.policy!r} lists it.",
    )


def _ask_for_packages(policy: EgressRules) -> str:
    if policy.packages:
        count = sum(len(projects) for projects in policy.packages.values())
        return f"The policy opens {count:,} packages, which pip and uv install from the mirror."
    return (
        "If the work needs software, ask the grant administrator for an EgressPolicy that lists "
        "the packages. Data comes in as a dataset: ask your data manager."
    )


def _allowed(rule: EgressRule, sentence: str) -> Ruling:
    return Ruling(outcome=Outcome.ALLOWED, rule=rule, sentence=sentence, todo="")


def _refused(rule: EgressRule, sentence: str, todo: str) -> Ruling:
    return Ruling(outcome=Outcome.REFUSED, rule=rule, sentence=sentence, todo=todo)
