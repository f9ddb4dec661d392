"""The recipes and the folders of images/ say the same."""

import re
from pathlib import Path

import pytest

from carrel.embedded.images import DEPLOYED, RECIPES, ImageName
from carrel.embedded.images.recipes import build_order

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        (["base"], ["base"]),
        (["platform"], ["base", "runtime", "platform"]),
        (["node"], ["base", "runtime", "platform", "node"]),
        (["workspace", "platform"], ["base", "runtime", "platform", "workspace"]),
        ([], []),
    ],
)
def test_parents_are_built_before_children(wanted: list[str], order: list[str]):
    assert [*build_order(frozenset(ImageName(name) for name in wanted))] == order


def test_every_deployed_image_has_a_recipe():
    assert set(DEPLOYED) <= set(RECIPES)


@pytest.mark.parametrize("name", ImageName)
def test_each_image_has_a_folder_with_containerfile_and_readme(name: ImageName):
    folder = ROOT / "images" / name
    assert {"Containerfile", "README.md"} <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", ImageName)
def test_each_containerfile_takes_exactly_the_parents_of_its_recipe(name: ImageName):
    text = (ROOT / "images" / name / "Containerfile").read_text()
    asked = set(re.findall(r"^ARG (\w+)=", text, flags=re.MULTILINE))
    assert asked == (set(RECIPES[name].parents) or {"BASE"})
    stages = re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE)
    own = set(re.findall(r"^FROM \S+ AS (\S+)", text, flags=re.MULTILINE))
    assert {stage.strip("${}") for stage in stages} - own == asked


@pytest.mark.parametrize("name", ImageName)
def test_no_containerfile_names_a_host_or_a_certificate(name: ImageName):
    text = (ROOT / "images" / name / "Containerfile").read_text()
    assert not re.findall(r"https?://\S+|/etc/ssl\S*", text)


@pytest.mark.parametrize("name", [*DEPLOYED, ImageName.RUNTIME, ImageName.IDENTITY])
def test_no_image_but_the_base_runs_as_root(name: ImageName):
    text = (ROOT / "images" / name / "Containerfile").read_text()
    users = re.findall(r"^USER (\S+)", text, flags=re.MULTILINE)
    assert users[-1] == ("1000:1000" if name is ImageName.WORKSPACE else "65532:65532")


def test_what_is_locked_for_the_workspace_is_what_its_folder_asks_for():
    asked = (ROOT / "images/workspace/workspace.in").read_text()
    names = re.findall(r"^([A-Za-z][\w.-]*)", asked, flags=re.MULTILINE)
    locked = (ROOT / "requirements/workspace.txt").read_text()
    pinned = set(re.findall(r"^([\w.-]+)==", locked, flags=re.MULTILINE))
    assert {name.lower() for name in names} <= pinned
