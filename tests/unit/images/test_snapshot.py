"""The hash of an image's inputs changes with what goes into it, and with nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from carrel.embedded.images import RECIPES, ImageError, ImageName
from carrel.embedded.images.snapshot import content_hash, take


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for name, text in {
        "images/platform/Containerfile": "FROM scratch\n",
        "images/platform/carrel": "#!/bin/sh\n",
        "images/platform/README.md": "about\n",
        "images/runtime/Containerfile": "FROM scratch\n",
        "requirements/platform.txt": "kopf==1\n",
        "operator/carrel/__init__.py": "\n",
        "operator/carrel/rules/grant.py": "x = 1\n",
        "pyproject.toml": "[project]\n",
        "README.md": "Carrel\n",
        "LICENSE": "Apache\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def hashed(name: ImageName, checkout: Path, into: Path, parent: str = "aa") -> str:
    take(RECIPES[name], source=checkout, into=into)
    return content_hash(into, parents={"BASE": parent})


def write(name: str, text: str) -> Callable[[Path], object]:
    def edit(checkout: Path) -> object:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        return (checkout / name).write_text(text)

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        write("images/platform/Containerfile", "FROM scratch\nUSER 0\n"),
        write("images/platform/new", ""),
        write("operator/carrel/rules/grant.py", "x = 2\n"),
        write("pyproject.toml", "[project]\nname = 'other'\n"),
        lambda checkout: (checkout / "images/platform/carrel").chmod(0o755),
        lambda checkout: (checkout / "operator/carrel/rules/grant.py").rename(
            checkout / "operator/carrel/rules/grants.py"
        ),
    ],
)
def test_what_goes_into_the_image_changes_its_hash(
    checkout: Path, tmp_path: Path, edit: Callable[[Path], object]
):
    before = hashed(ImageName.PLATFORM, checkout, tmp_path / "before")
    edit(checkout)
    assert hashed(ImageName.PLATFORM, checkout, tmp_path / "after") != before


@pytest.mark.parametrize(
    "edit",
    [
        write("images/platform/README.md", "more about\n"),
        write("images/platform/wheel/old.whl", "left by hand"),
        write("operator/carrel/rules/__pycache__/grant.cpython-311.pyc", "code"),
        write("tests/unit/test_new.py", "\n"),
        lambda checkout: (checkout / "operator/carrel/rules/grant.py").chmod(0o600),
    ],
)
def test_what_does_not_go_in_leaves_the_hash_alone(
    checkout: Path, tmp_path: Path, edit: Callable[[Path], object]
):
    before = hashed(ImageName.PLATFORM, checkout, tmp_path / "before")
    edit(checkout)
    assert hashed(ImageName.PLATFORM, checkout, tmp_path / "after") == before


def test_another_parent_is_another_image(checkout: Path, tmp_path: Path):
    first = hashed(ImageName.PLATFORM, checkout, tmp_path / "first", parent="aa")
    assert hashed(ImageName.PLATFORM, checkout, tmp_path / "second", parent="bb") != first


def test_code_of_carrel_leaves_the_shared_runtime_alone(checkout: Path, tmp_path: Path):
    before = hashed(ImageName.RUNTIME, checkout, tmp_path / "before")
    (checkout / "operator/carrel/rules/grant.py").write_text("x = 2\n")
    assert hashed(ImageName.RUNTIME, checkout, tmp_path / "after") == before


def test_a_missing_lock_is_named_with_the_command_that_writes_it(checkout: Path, tmp_path: Path):
    (checkout / "requirements/platform.txt").unlink()
    with pytest.raises(ImageError, match=r"requirements/platform\.txt does not exist.*make lock"):
        hashed(ImageName.RUNTIME, checkout, tmp_path / "snapshot")
