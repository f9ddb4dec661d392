"""The lock: the rule set that closes a workspace's network from inside its own namespace.

Two tables. `inet carrel_lock` sees every packet that the IP stack sends or receives, IPv4 and
IPv6 alike, refuses at once and counts. `netdev carrel_wire` sees every frame that leaves a
device, so that packet sockets, which the IP stack never sees, end there too.
"""

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum

from carrel.kinds.resource import Digest

LOCK = "carrel_lock"
"""Table of family inet."""
WIRE = "carrel_wire"
"""Table of family netdev."""
WORKSPACE_PORT = 8888
"""The one port that gateways may reach."""

GROUP, WIRE_GROUP = 77, 78
"""NFLOG groups: refused packets, and refused frames."""

_DEVICE = re.compile(r"^[A-Za-z0-9_.@-]{1,15}$")


class Doors(StrEnum):
    """What may pass."""

    GATEWAYS = "Gateways"
    """Connections that a gateway opens to the workspace's port, and the answers to them."""
    CLOSED = "Closed"
    """Nothing but loopback: also connections that stand are cut."""


class WireLayer(StrEnum):
    """Whether the kernel has a hook on the way out of a device (CONFIG_NETFILTER_EGRESS)."""

    PRESENT = "Present"
    """It has."""
    ABSENT = "Absent"
    """It has not: packet sockets are held by the missing CAP_NET_RAW alone."""


class Counts(StrEnum):
    """What becomes of the counters of a rule set that is already there."""

    KEPT = "Kept"
    """Rules are replaced, counters and sets stay: for a change that is ours."""
    FRESH = "Fresh"
    """Everything is replaced: for a first load, and for one that somebody changed."""


class Counter(StrEnum):
    """Named counters of the lock."""

    TOTAL = "refused"
    """Every packet that was refused on its way out."""
    TCP = "refused_tcp"
    """TCP among them."""
    UDP = "refused_udp"
    """UDP among them."""
    ICMP = "refused_icmp"
    """ICMP and ICMPv6 among them, but for what MEMBERSHIP counts."""
    MEMBERSHIP = "refused_membership"
    """IGMP, MLD and router solicitations: a kernel sends them also without being asked."""
    OTHER = "refused_other"
    """Every other protocol."""
    INBOUND = "refused_inbound"
    """Packets that wanted in."""
    WIRE = "refused_wire"
    """Frames that came past the IP stack and were dropped at the device."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """What a rule set depends on."""

    devices: tuple[str, ...]
    """Devices of the namespace, without loopback."""
    doors: Doors
    """What may pass."""
    gateways: tuple[str, ...] = ()
    """Addresses of gateways, IPv4 and IPv6; none while the doors are closed."""
    wire: WireLayer = WireLayer.PRESENT
    """Whether frames can be stopped at the device."""


def rule_set(lock: Lock, *, counts: Counts) -> str:
    """Return the whole rule set as one nft transaction: there is no moment without a lock.

    Raises ValueError for a device name that no kernel gives and for what is not an address.
    """
    unknown = [device for device in lock.devices if not _DEVICE.match(device)]
    if unknown:
        raise ValueError(f"device_name_is_odd: {unknown[0]!r} is no name of a network device")
    tables = [_inet(lock, counts)]
    if lock.wire is WireLayer.PRESENT:
        tables.append(_netdev(lock, counts))
    return "".join(tables)


def digest_of(listing: str, *, gateways: str) -> Digest:
    """Digest what a kernel holds, counters, handles and counted destinations aside.

    Parameters
    ----------
    listing
        Text of `nft --stateless --terse list ruleset`; tables of others are left out.
    gateways
        Text of `nft --stateless list set` of both gateway sets, which terse text leaves out.
    """
    ours = [table for table in _tables(listing) if _is_ours(table)]
    text = "\n".join([*sorted(ours), _squeezed(gateways)])
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _tables(listing: str) -> list[str]:
    return [_squeezed(text) for text in re.split(r"(?m)^(?=table )", listing) if text.strip()]


def _is_ours(table: str) -> bool:
    return table.startswith((f"table inet {LOCK} ", f"table netdev {WIRE} "))


def _squeezed(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def _begin(family: str, table: str, counts: Counts, *, sets: tuple[str, ...] = ()) -> str:
    # Naming the table first makes `delete` and `flush` valid whether or not it was there.
    named = f"table {family} {table}\n"
    if counts is Counts.FRESH:
        return f"{named}delete table {family} {table}\n"
    # An object must exist before it can be flushed in the same transaction: declare, then flush.
    declared = "".join(f"flush set {family} {table} {name}\n" for name in sets)
    return f"{named}flush table {family} {table}\n{declared}"


def _split(addresses: tuple[str, ...]) -> tuple[list[str], list[str]]:
    parsed = [ipaddress.ip_address(address) for address in addresses]
    four = sorted({str(address) for address in parsed if address.version == 4})
    six = sorted({str(address) for address in parsed if address.version == 6})
    return four, six


def _gateway_set(name: str, kind: str, addresses: list[str]) -> str:
    elements = f" elements = {{ {', '.join(addresses)} }};" if addresses else ""
    return f"  set {name} {{ type {kind};{elements} }}\n"


def _counted_set(name: str, kind: str) -> str:
    # 65,535 destinations; more are still refused and still counted in the total.
    return (
        f"  set {name} {{ type {kind} . inet_proto . inet_service; size 65535; "
        "flags dynamic,timeout; timeout 1h; counter; }\n"
    )


_INET_COUNTERS = "".join(
    f"  counter {counter} {{ }}\n" for counter in Counter if counter is not Counter.WIRE
)

# By number: an image without /etc/protocols knows no names.
TCP, UDP = 6, 17
_ICMP, _IGMP, _ICMPV6, _DCCP, _SCTP, _UDPLITE = 1, 2, 58, 33, 132, 136
_PINGS = f"{{ {_ICMP}, {_ICMPV6} }}"
_PORTS = f"{{ {TCP}, {UDP}, {_DCCP}, {_SCTP}, {_UDPLITE} }}"

_MEMBERSHIP = (
    "{ mld-listener-query, mld-listener-report, mld-listener-done, "
    "mld2-listener-report, nd-router-solicit }"
)

# Whole names of both families: 40 bytes of IPv6, 8 of UDP, 12 of DNS and 255 of a name fit.
_DNS_BYTES, _BYTES = 320, 96

# Each counted packet is told exactly once, or counts and records could never be compared. A
# fragment without ports matches no rule about ports, so the last rule asks nothing.
_TELL = f"""\
  chain tell {{
    udp dport 53 log prefix "out" group {GROUP} snaplen {_DNS_BYTES} return
    log prefix "out" group {GROUP} snaplen {_BYTES}
  }}
"""
_TELL_IN = f'log prefix "in" group {GROUP} snaplen {_BYTES}'
_TELL_WIRE = f'log prefix "wire" group {WIRE_GROUP} snaplen {_BYTES}'

_REFUSE = f"""\
  chain refuse {{
    counter name {Counter.TOTAL}
    jump tell
    meta l4proto {_IGMP} counter name {Counter.MEMBERSHIP} reject with icmpx admin-prohibited
    icmpv6 type {_MEMBERSHIP} counter name {Counter.MEMBERSHIP} drop
    meta l4proto {TCP} counter name {Counter.TCP}
    meta l4proto {UDP} counter name {Counter.UDP}
    meta l4proto {_PINGS} counter name {Counter.ICMP}
    meta l4proto != {{ {TCP}, {UDP}, {_ICMP}, {_ICMPV6} }} counter name {Counter.OTHER}
    meta l4proto {_PORTS} update @refused4 {{ ip daddr . meta l4proto . th dport }}
    meta l4proto {_PORTS} update @refused6 {{ ip6 daddr . meta l4proto . th dport }}
    meta l4proto {TCP} reject with tcp reset
    reject with icmpx admin-prohibited
  }}
"""

# A neighbour is asked for its hardware address only for a packet that was already let through;
# what a user sends to a neighbour is refused before the kernel asks.
_NEIGHBOURS = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept"


def _inet(lock: Lock, counts: Counts) -> str:
    opened = lock.gateways if lock.doors is Doors.GATEWAYS else ()
    four, six = _split(opened)
    sets = _gateway_set("gateways4", "ipv4_addr", four) + _gateway_set(
        "gateways6", "ipv6_addr", six
    )
    counted = _counted_set("refused4", "ipv4_addr") + _counted_set("refused6", "ipv6_addr")
    reply = "ct direction reply ct state established tcp sport"
    knock = f"tcp dport {WORKSPACE_PORT} ct state new,established accept"
    out = in_ = ""
    if lock.doors is Doors.GATEWAYS:
        out = (
            f"    {reply} {WORKSPACE_PORT} ip daddr @gateways4 accept\n"
            f"    {reply} {WORKSPACE_PORT} ip6 daddr @gateways6 accept\n"
        )
        in_ = (
            f"    meta l4proto {_PINGS} ct state related accept\n"
            f"    ip saddr @gateways4 {knock}\n"
            f"    ip6 saddr @gateways6 {knock}\n"
        )
    return f"""\
{_declared(sets) if counts is Counts.KEPT else ""}\
{_begin("inet", LOCK, counts, sets=("gateways4", "gateways6"))}\
table inet {LOCK} {{
{_INET_COUNTERS}{counted}{sets}{_TELL}{_REFUSE}\
  chain out {{
    type filter hook output priority filter; policy drop;
    oifname "lo" accept
    {_NEIGHBOURS}
{out}    jump refuse
  }}
  chain in {{
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    {_NEIGHBOURS}
{in_}    counter name {Counter.INBOUND} {_TELL_IN} drop
  }}
  chain through {{
    type filter hook forward priority filter; policy drop;
    counter name {Counter.INBOUND} {_TELL_IN} drop
  }}
}}
"""


def _declared(sets: str) -> str:
    return f"table inet {LOCK} {{\n{sets}}}\n"


def _netdev(lock: Lock, counts: Counts) -> str:
    opened = lock.gateways if lock.doors is Doors.GATEWAYS else ()
    four, six = _split(opened)
    # One rule for each: a terse listing may hide the elements of a set.
    passed = "".join(
        f"    {family} daddr {address} tcp sport {WORKSPACE_PORT} accept\n"
        for family, addresses in (("ip", four), ("ip6", six))
        for address in addresses
    )
    chains = "".join(
        f"""\
  chain wire{number} {{
    type filter hook egress device "{device}" priority filter; policy drop;
    meta protocol arp accept
    {_NEIGHBOURS}
{passed}    counter name {Counter.WIRE} {_TELL_WIRE} drop
  }}
"""
        for number, device in enumerate(sorted(lock.devices))
    )
    return f"""\
{_begin("netdev", WIRE, counts)}\
table netdev {WIRE} {{
  counter {Counter.WIRE} {{ }}
{chains}}}
"""
