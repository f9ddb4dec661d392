"""Network namespaces of an instance: the node, the link to the host, and the pretend Internet."""

import json
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from carrel.embedded.errors import EmbeddedError
from carrel.embedded.instance import Instance

INTERNET_ADDRESSES: Final = ("203.0.113.1", "198.51.100.7", "8.8.8.8")
"""Two documentation addresses and a resolver that everybody knows."""
_NODE_OUTSIDE: Final = "203.0.113.2"

# Counted in prerouting, so that packets to addresses that nobody holds are counted too. The
# family `inet` never sees ARP; neighbour discovery is what an idle IPv6 link says by itself.
_INTERNET_RULES: Final = """
table inet seen {
  counter arrived { }
  chain arriving {
    type filter hook prerouting priority raw; policy accept;
    iifname != "eth0" accept
    meta l4proto 58 icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept
    counter name arrived
  }
}
"""  # noqa: E501  # one nft statement cannot be broken
# Nothing inside begins a conversation with the host: its services are not part of the cluster.
_NODE_RULES: Final = """
table inet host_is_closed {
  chain leaving {
    type filter hook postrouting priority 300; policy accept;
    oifname "node0" ct state new drop
  }
}
"""


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What reached the pretend Internet since `up`, without ARP and neighbour discovery."""

    packets: int
    bytes: int


def make(instance: Instance) -> None:
    """Create both namespaces, their links, addresses and rules; the host forwards nothing."""
    node, internet = instance.netns, instance.internet_netns
    for namespace in (node, internet):
        _ip("netns", "add", namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
    _ip(
        *("link", "add", instance.host_link, "type", "veth"),
        *("peer", "name", "node0", "netns", node),
    )
    _ip("addr", "add", f"{instance.host_ip}/30", "dev", instance.host_link)
    _ip("link", "set", instance.host_link, "up")
    _ip("-n", node, "addr", "add", f"{instance.node_ip}/30", "dev", "node0")
    _ip("-n", node, "link", "set", "node0", "up")
    _ip(
        *("-n", node, "link", "add", "out0", "type", "veth"),
        *("peer", "name", "eth0", "netns", internet),
    )
    _ip("-n", node, "addr", "add", f"{_NODE_OUTSIDE}/24", "dev", "out0")
    _ip("-n", node, "link", "set", "out0", "up")
    first, *others = INTERNET_ADDRESSES
    _ip("-n", internet, "addr", "add", f"{first}/24", "dev", "eth0")
    _ip("-n", internet, "link", "set", "eth0", "up")
    for address in others:
        _ip("-n", internet, "addr", "add", f"{address}/32", "dev", "lo")
    _ip("-n", node, "route", "add", "default", "via", first)
    _ip("-n", internet, "route", "add", "default", "via", _NODE_OUTSIDE)
    _nft(internet, _INTERNET_RULES)
    _nft(node, _NODE_RULES)


def remove(instance: Instance) -> None:
    """Remove what `make` made, as far as it is there; no process may be left inside."""
    for namespace in (instance.netns, instance.internet_netns):
        if Path("/run/netns", namespace).exists():
            _ip("netns", "del", namespace)
    # Removing a namespace removes its links a moment later, in a kernel worker: be first.
    if Path("/sys/class/net", instance.host_link).exists():
        with suppress(EmbeddedError):
            _ip("link", "del", instance.host_link)


def exists(instance: Instance) -> bool:
    """Whether anything of `make` is left on the host."""
    netns = (instance.netns, instance.internet_netns)
    return (
        any(Path("/run/netns", n).exists() for n in netns)
        or Path("/sys/class/net", instance.host_link).exists()
    )


def arrived(instance: Instance) -> Arrived:
    """Read the counters of the pretend Internet."""
    listed = _inside(
        instance.internet_netns, ["nft", "--json", "list", "counter", "inet", "seen", "arrived"]
    )
    found = next(
        (e["counter"] for e in json.loads(listed)["nftables"] if "counter" in e),
        None,
    )
    if found is None:
        raise EmbeddedError(
            f"The pretend Internet of {instance.name!r} has no counter; run "
            f"`carrel cluster down --instance {instance.name}` and `up` again."
        )
    return Arrived(packets=found["packets"], bytes=found["bytes"])


def _nft(namespace: str, rules: str) -> None:
    _inside(namespace, ["nft", "-f", "-"], text=rules)


def _inside(namespace: str, command: Sequence[str], *, text: str = "") -> str:
    return _run(["nsenter", f"--net=/run/netns/{namespace}", *command], text=text)


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _run(command: Sequence[str], *, text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EmbeddedError(
            f"`{' '.join(command)}` failed: {done.stderr.strip() or done.returncode}; "
            "`carrel doctor` checks what the host must be able to do."
        )
    return done.stdout
