"""No name in a home is followed, whatever kind of link stands there and however fast it changes."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from notebook_server.home import LARGEST, Home, Kind, NotPlainError, OutsideError, TooLargeError

SECRET = b"the server's own"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file outside of the home that the server could read and write."""
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "tls.key").write_bytes(SECRET)
    return folder / "tls.key"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def link_to_the_file(root: Path, secret: Path) -> str:
    (root / "link").symlink_to(secret)
    return "link"


def relative_link(root: Path, secret: Path) -> str:
    (root / "link").symlink_to(os.path.relpath(secret, root))
    return "link"


def link_to_a_link(root: Path, secret: Path) -> str:
    (root / "first").symlink_to(secret)
    (root / "link").symlink_to("first")
    return "link"


def folder_that_is_a_link(root: Path, secret: Path) -> str:
    (root / "folder").symlink_to(secret.parent)
    return "folder/tls.key"


def link_through_proc(root: Path, secret: Path) -> str:
    (root / "folder").symlink_to(f"/proc/self/root{secret.parent}")
    return "folder/tls.key"


def link_to_an_own_descriptor(root: Path, secret: Path) -> str:
    held = os.open(secret.parent, os.O_RDONLY)
    (root / "folder").symlink_to(f"/proc/self/fd/{held}")
    return "folder/tls.key"


def link_deep_inside(root: Path, secret: Path) -> str:
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/c").symlink_to(secret.parent)
    return "a/b/c/tls.key"


LINKS = [
    link_to_the_file,
    relative_link,
    link_to_a_link,
    folder_that_is_a_link,
    link_through_proc,
    link_to_an_own_descriptor,
    link_deep_inside,
]


@pytest.mark.parametrize("plant", LINKS)
def test_nothing_is_read_or_written_through(
    plant: Callable[[Path, Path], str], root: Path, secret: Path
):
    path = plant(root, secret)
    assert (root / path).read_bytes() == SECRET  # the control arm: whoever follows gets there
    home = Home(root)
    acts: list[Callable[[], object]] = [
        lambda: home.read(path),
        lambda: home.write(path, b"x"),
        lambda: home.append(path, b"x"),
        lambda: home.make_folder(path),
        lambda: home.rename(path, "taken"),
        lambda: home.write(f"{path}/below", b"x"),
        lambda: home.list(path),
    ]
    for act in acts:
        with pytest.raises(NotPlainError, match="follows none"):
            act()
    assert secret.read_bytes() == SECRET
    assert [each.name for each in secret.parent.iterdir()] == ["tls.key"]


def test_a_link_is_shown_and_can_be_removed_and_what_it_means_stays(root: Path, secret: Path):
    link_to_the_file(root, secret)
    (root / "folder").symlink_to(secret.parent)
    home = Home(root)
    assert {each.name: each.kind for each in home.list("")} == {
        "link": Kind.OTHER,
        "folder": Kind.OTHER,
    }
    home.remove("link")
    home.remove("folder")
    assert list(root.iterdir()) == []
    assert secret.read_bytes() == SECRET


def test_a_removed_folder_takes_no_link_s_target_with_it(root: Path, secret: Path):
    link_deep_inside(root, secret)
    Home(root).remove("a")
    assert list(root.iterdir()) == []
    assert secret.read_bytes() == SECRET


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_plain_file_holds_nobody_up(kind: str, root: Path):
    place = root / "odd"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
    else:
        try:
            os.mknod(place, 0o600 | 0o020000, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("only root makes devices")
    home = Home(root)
    with pytest.raises(NotPlainError):
        home.read("odd")
    with pytest.raises(NotPlainError):
        home.write("odd", b"x")


@pytest.mark.parametrize(
    "path", ["..", "../server/tls.key", "a/../../server/tls.key", ".", "a//b", "a/./b", "a\0b", ""]
)
def test_a_path_that_is_none_is_refused(path: str, root: Path):
    with pytest.raises(OutsideError):
        Home(root).read(path)


def test_a_home_that_is_a_link_is_not_opened(tmp_path: Path, root: Path):
    (tmp_path / "link").symlink_to(root)
    with pytest.raises(NotADirectoryError):
        Home(tmp_path / "link")


@pytest.mark.parametrize(
    ("before", "after"), [(0o664, 0o664), (0o644, 0o664), (0o600, 0o660), (0o755, 0o775)]
)
def test_a_file_is_replaced_whole_and_kernels_may_still_write_it(
    before: int, after: int, root: Path
):
    (root / "n.ipynb").write_text("old")
    (root / "n.ipynb").chmod(before)
    Home(root).write("n.ipynb", b"new")
    assert (root / "n.ipynb").read_text() == "new"
    assert (root / "n.ipynb").stat().st_mode & 0o777 == after
    assert [each.name for each in root.iterdir()] == ["n.ipynb"]


def test_a_file_that_its_owner_made_read_only_is_not_replaced(root: Path):
    (root / "n.ipynb").write_text("old")
    (root / "n.ipynb").chmod(0o444)
    with pytest.raises(PermissionError):
        Home(root).write("n.ipynb", b"new")
    assert (root / "n.ipynb").read_text() == "old"


def test_a_disk_that_is_full_leaves_the_old_file(root: Path, monkeypatch: pytest.MonkeyPatch):
    (root / "n.ipynb").write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        Home(root).write("n.ipynb", b"new")
    assert [(each.name, each.read_text()) for each in root.iterdir()] == [("n.ipynb", "old")]


def test_what_is_too_large_is_refused_before_it_is_read(root: Path):
    with (root / "big").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(TooLargeError, match="read it in a notebook"):
        Home(root).read("big")


def test_a_name_that_is_taken_is_not_renamed_over(root: Path):
    for name in ("a", "b"):
        (root / name).write_text(name)
    with pytest.raises(FileExistsError):
        Home(root).rename("a", "b")
    assert (root / "b").read_text() == "b"


SWAPPING = """
import os, sys
home, elsewhere = sys.argv[1:]
os.chdir(home)
print("up", flush=True)
while True:
    os.symlink(elsewhere, "bad")
    os.rename("folder", "good")
    os.rename("bad", "folder")
    os.unlink("folder")
    os.rename("good", "folder")
"""


@contextmanager
def swapping(root: Path, secret: Path) -> Iterator[None]:
    """Turn a folder into a link to the secret's folder and back, as fast as it goes."""
    command = [sys.executable, "-c", SWAPPING, str(root), str(secret.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout is not None
        assert swapper.stdout.readline() == b"up\n"
        try:
            yield
            assert swapper.poll() is None
        finally:
            swapper.kill()


def test_a_link_that_comes_and_goes_between_two_looks_is_never_followed(root: Path, secret: Path):
    (root / "folder").mkdir()
    (root / "folder/tls.key").write_bytes(b"mine")
    home, refused = Home(root), 0
    with swapping(root, secret):
        for _ in range(200_000):
            try:
                assert home.read("folder/tls.key")[0] == b"mine"
                home.write("folder/tls.key", b"mine")
            except NotPlainError:
                refused += 1
            except FileNotFoundError:
                continue
            if refused == 50:
                break
    # The control arm: the link was there when it was asked for, at least once.
    assert refused
    assert secret.read_bytes() == SECRET
    assert [each.name for each in secret.parent.iterdir()] == ["tls.key"]
