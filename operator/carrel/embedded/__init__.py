"""A real Kubernetes node from Go modules, in namespaces of its own, for one machine.

One instance is a network, mount, PID, UTS and IPC namespace with upstream Kubernetes in it, and
a pretend Internet beside it. `warden` stays on the host, `supervisor` is process 1 inside.
`carrel.embedded.lifecycle` starts and ends instances; it is not imported here because every
process of an instance imports this package, and certificates are slow to import.
"""

from carrel.embedded.errors import EmbeddedError
from carrel.embedded.inside import kubectl, load_image, processes, run_inside
from carrel.embedded.instance import Instance, Person, every_instance, find_instance, is_running
from carrel.embedded.network import Arrived, arrived
from carrel.embedded.parts import Network

__all__ = [
    "Arrived",
    "EmbeddedError",
    "Instance",
    "Network",
    "Person",
    "arrived",
    "every_instance",
    "find_instance",
    "is_running",
    "kubectl",
    "load_image",
    "processes",
    "run_inside",
]
