"""Attack: alter a dataset, which every workspace with the same data would see."""

import pytest

from support.arms import Arm

pytestmark = pytest.mark.cluster

ATTACK = """
import errno, os
def attempt(work):
    try:
        work()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
inside = next((os.path.join(f, n) for f, _, names in os.walk("/datasets") for n in names), None)
print(attempt(lambda: open("/datasets/new", "w")))
if inside:
    print(attempt(lambda: open(inside, "r+b")), attempt(lambda: os.unlink(inside)),
          attempt(lambda: os.chmod(inside, 0o666)))
"""


def test_a_volume_that_is_not_read_only_is_written(control: Arm) -> None:
    assert control.python(ATTACK).splitlines()[0] == "done"


def test_a_workspace_meets_a_read_only_file_system(workspace: Arm) -> None:
    first, rest = workspace.python(ATTACK).splitlines()
    assert first == "EROFS"
    assert set(rest.split()) <= {"EROFS", "EACCES", "EPERM"}
