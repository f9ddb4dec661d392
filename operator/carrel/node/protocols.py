"""Names of IP protocols, where people know one; the number otherwise."""

from types import MappingProxyType

from carrel.node.flow import NOT_IP

_NAMES = MappingProxyType(
    {
        1: "icmp",
        2: "igmp",
        6: "tcp",
        17: "udp",
        33: "dccp",
        47: "gre",
        50: "esp",
        58: "icmpv6",
        132: "sctp",
        136: "udplite",
        NOT_IP: "frame",
    }
)
_NUMBERS = MappingProxyType({name: number for number, name in _NAMES.items()})


def name_of(protocol: int) -> str:
    """Return the name of a protocol, or its number in digits."""
    return _NAMES.get(protocol, str(protocol))


def number_of(name: str) -> int:
    """Return the number of a protocol; ValueError for what `name_of` never returns."""
    return _NUMBERS[name] if name in _NUMBERS else int(name)
