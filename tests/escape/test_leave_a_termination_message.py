"""Attack: write into the termination message, which the kubelet copies into the pod's status."""

import pytest

from support.arms import Arm

pytestmark = pytest.mark.cluster

ATTACK = """
import errno
try:
    open("/dev/termination-log", "w").write("secret")
    print("written")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def test_it_is_written_where_no_agent_seals_it(control: Arm) -> None:
    assert control.python(ATTACK) == "written"


def test_a_workspace_cannot_write_it(workspace: Arm) -> None:
    assert workspace.python(ATTACK) == "EACCES"
