"""Attack: stop the probe and write in its place: what a probe prints becomes a cluster event.

The probe runs as the researcher's own user. Where its program can be read, that user may stop it,
open its descriptors or its memory, or attach to it. `closed-python` can be executed and not read.
"""

import pytest

from support.arms import Arm

pytestmark = pytest.mark.cluster

_WAYS = """
import ctypes, errno, os, signal, sys, time

libc = ctypes.CDLL(None, use_errno=True)

def checked(value):
    if value < 0:
        raise OSError(ctypes.get_errno(), "refused")

def by_descriptor(pid):
    os.close(os.open(f"/proc/{pid}/fd/1", os.O_WRONLY))

def by_memory(pid):
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))

def by_tracing(pid):
    checked(libc.ptrace(0x4206, pid, 0, 0))  # PTRACE_SEIZE
    checked(libc.ptrace(17, pid, 0, 0))  # PTRACE_DETACH: it must be stopped, so this may be refused

WAYS = {"descriptor": by_descriptor, "memory": by_memory, "tracing": by_tracing}

def tried(pid):
    for name, way in WAYS.items():
        try:
            way(pid)
            yield name, "through"
        except OSError as error:
            through = name == "tracing" and error.errno == errno.ESRCH
            yield name, "through" if through else errno.errorcode[error.errno]
"""

_CHILD = f"""{_WAYS}
executed, held = os.pipe()  # the kernel closes both in the child when it executes
_, output = os.pipe()
child = os.fork()
if child == 0:
    os.dup2(output, 1)
    os.execv(sys.argv[1], sys.argv[1:])
os.close(held)
os.read(executed, 1)
os.kill(child, signal.SIGSTOP)
print(*[f"{{name}}:{{met}}" for name, met in tried(child)])
os.kill(child, signal.SIGKILL)
"""

_PROBE = f"""{_WAYS}
def probe():
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and "desk/ready.py" in open(f"/proc/{{name}}/cmdline").read():
                return int(name)
        except OSError:
            pass
ends = time.monotonic() + 60
while time.monotonic() < ends:
    pid = probe()
    if pid:
        os.kill(pid, signal.SIGSTOP)
        print(*[f"{{name}}:{{met}}" for name, met in tried(pid)])
        os.kill(pid, signal.SIGCONT)
        break
else:
    print("no probe seen")
"""

_WAIT = ("-I", "-S", "-c", "import time; time.sleep(30)")
_CLOSED = "descriptor:EACCES memory:EACCES tracing:EPERM"


def test_a_program_that_can_be_read_is_written_for_by_its_user(control: Arm) -> None:
    found = control.python(_CHILD, "/usr/bin/python3", *_WAIT)
    assert found == "descriptor:through memory:through tracing:through"


def test_the_probes_program_is_closed_to_its_user(control: Arm) -> None:
    assert control.python(_CHILD, "/opt/carrel/closed-python", *_WAIT) == _CLOSED


def test_the_probe_of_a_workspace_is_closed_to_the_researcher(workspace: Arm) -> None:
    """The kubelet's own, caught while it runs."""
    assert workspace.python(_PROBE) == _CLOSED
