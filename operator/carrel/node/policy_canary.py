"""`python -m carrel.node.policy_canary denied|control ADDRESS PORT`: tries one door, as a canary.

Only the standard library: it runs in a pod of its own, which may reach nothing else. It ends
with 0 when it met what the cluster's NetworkPolicy promises, with 3 when a denied pod got
through, with 4 when the door was shut for the one that may pass, and with 2 when it was asked
for something else.
"""

import ipaddress
import socket
import sys
import time

ATTEMPTS = 5
PATIENCE_SECONDS = 120.0
"""How long the control waits: after an installation the door is only being made."""
_SECONDS = 1.0
PROMISED, MISUSED, GOT_THROUGH, SHUT = 0, 2, 3, 4


def main(arguments: list[str]) -> int:
    """Fly one canary; return the exit code."""
    match arguments:
        # A name that nobody can look up would be a door that nobody can find: no proof.
        case [_, host, port] if not (_is_address(host) and port.isdecimal()):
            pass
        case ["denied", host, port]:
            # More than once: a policy may hold only from a moment after the start.
            through = [_passes(host, int(port)) for _ in range(ATTEMPTS)]
            return GOT_THROUGH if any(through) else PROMISED
        case ["control", host, port]:
            ends = time.monotonic() + PATIENCE_SECONDS
            while time.monotonic() < ends:
                if _passes(host, int(port)):
                    return PROMISED
            return SHUT
        case _:
            pass
    sys.stderr.write("usage: python -m carrel.node.policy_canary denied|control ADDRESS PORT\n")
    return MISUSED


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _passes(host: str, port: int) -> bool:
    begun = time.monotonic()
    try:
        socket.create_connection((host, port), _SECONDS).close()
    except OSError:
        # What refuses at once is asked again a moment later all the same.
        time.sleep(max(_SECONDS - (time.monotonic() - begun), 0.0))  # noqa: TID251 - paces attempts
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
