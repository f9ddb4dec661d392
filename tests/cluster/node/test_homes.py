"""Homes on this machine's kernel: a size that holds, a content that stays, an end that is one."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.node.home_image import Change, HomeError, Homes, mounted

pytestmark = pytest.mark.root

HOME = "ws-a"
SIZE_MIB = 64


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Homes]:
    made = Homes(tmp_path)
    made.prepare()
    yield made
    if _mount(made) in mounted():
        _unmount(made)


def _mount(homes: Homes) -> Path:
    return homes.store_root / "homes" / HOME


def _target(homes: Homes) -> Path:
    return _mount(homes) / "home"


def _unmount(homes: Homes) -> None:
    subprocess.run(["umount", str(_mount(homes))], check=True)


def _image(homes: Homes) -> Path:
    return homes.store_root / "home-images" / f"{HOME}.ext4"


async def test_a_new_home_is_the_users_and_empty(homes: Homes) -> None:
    assert await homes.ensure(HOME, size_mib=SIZE_MIB) is Change.MADE
    found = _target(homes).stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (1000, 1000, 0o2770)
    assert list(_target(homes).iterdir()) == []
    assert _image(homes).stat().st_size == SIZE_MIB * 1024 * 1024
    assert _image(homes).stat().st_blocks * 512 < SIZE_MIB * 1024 * 1024 // 2


async def test_a_home_cannot_outgrow_its_size(homes: Homes) -> None:
    await homes.ensure(HOME, size_mib=SIZE_MIB)
    with pytest.raises(OSError, match="No space left"):
        (_target(homes) / "big").write_bytes(b"x" * (SIZE_MIB + 1) * 1024 * 1024)


async def test_devices_and_setuid_mean_nothing_in_a_home(homes: Homes) -> None:
    await homes.ensure(HOME, size_mib=SIZE_MIB)
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    options = next(line for line in lines if str(_mount(homes)) in line).split()[5].split(",")
    assert {"nosuid", "nodev"} <= set(options)


async def test_a_home_is_found_again_after_a_start_of_the_node(homes: Homes) -> None:
    await homes.ensure(HOME, size_mib=SIZE_MIB)
    (_target(homes) / "notes").write_text("kept")
    assert await homes.ensure(HOME, size_mib=SIZE_MIB) is Change.NONE
    _unmount(homes)
    assert await homes.ensure(HOME, size_mib=SIZE_MIB) is Change.MOUNTED
    assert (_target(homes) / "notes").read_text() == "kept"


async def test_where_the_image_is_not_mounted_there_is_no_home(homes: Homes) -> None:
    """After a start of the node: what the kubelet is to mount must not be the node's own disk."""
    await homes.ensure(HOME, size_mib=SIZE_MIB)
    _unmount(homes)
    assert (_mount(homes).exists(), _target(homes).exists()) == (True, False)


async def test_what_a_user_can_write_is_below_what_the_node_opens(homes: Homes) -> None:
    """Else the name of the home could be a link to somewhere by the next mount."""
    await homes.ensure(HOME, size_mib=SIZE_MIB)
    found = _mount(homes).stat()
    assert (found.st_uid, found.st_mode & 0o022) == (0, 0)


async def test_a_released_home_is_gone(homes: Homes) -> None:
    await homes.ensure(HOME, size_mib=SIZE_MIB)
    assert await homes.release(HOME)
    assert not await homes.release(HOME)
    assert (_mount(homes).exists(), _image(homes).exists()) == (False, False)


async def test_a_damaged_home_is_not_made_anew(homes: Homes) -> None:
    _image(homes).write_bytes(b"\xff" * SIZE_MIB * 1024 * 1024)
    with pytest.raises(HomeError) as refused:
        await homes.ensure(HOME, size_mib=SIZE_MIB)
    assert refused.value.reason == "HomeDamaged"
    assert _image(homes).exists()


async def test_half_an_image_of_an_earlier_try_is_in_nobodys_way(homes: Homes) -> None:
    _image(homes).with_name(f".{HOME}.ext4.arriving").write_bytes(b"half")
    assert await homes.ensure(HOME, size_mib=SIZE_MIB) is Change.MADE
