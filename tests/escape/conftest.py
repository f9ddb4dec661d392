"""Each attack is tried from a real workspace and, as a control, from a pod that nobody locks."""

from collections.abc import Iterator

import pytest

from support import arms


@pytest.fixture(scope="session")
def workspace() -> arms.Arm:
    """Return the workspace that the demo left running."""
    return arms.workspace()


@pytest.fixture(scope="session")
def control(workspace: arms.Arm) -> Iterator[arms.Arm]:
    """Run the workspace's image without any lock, for as long as the tests run."""
    with arms.control(workspace) as made:
        yield made
