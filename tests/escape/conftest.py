"""Each attack is tried from a real workspace and, as a control, from a pod that nobody locks."""

from collections.abc import Iterator

import pytest

from support import arms


@pytest.fixture(scope="module")
def workspace() -> arms.Arm:
    """Return the workspace that the demo left running, in the pod that it has now."""
    return arms.workspace()


@pytest.fixture(scope="session")
def control() -> Iterator[arms.Arm]:
    """Run the workspace's image without any lock, for as long as the tests run."""
    with arms.control(arms.workspace()) as made:
        yield made
