"""What an administrator gets: every object of the chart, as a page that a reviewer reads.

`minimal.yaml` holds every object that the least of values gives; the other pages hold
only what differs from it. Admission policies are left out: they have tests of their own.
Rewrite the pages with CARREL_REWRITE_GOLDENS=1 and review the difference.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
Objects = list[dict[str, Any]]
Template = Callable[..., subprocess.CompletedProcess[str]]


def _page(objects: list[dict[str, Any]], *, without: list[dict[str, Any]]) -> str:
    shown = sorted(
        (
            each
            for each in objects
            if each not in without and not each["kind"].startswith("ValidatingAdmissionPolicy")
        ),
        key=lambda each: (each["kind"], each["metadata"]["name"]),
    )
    return "---\n".join(yaml.safe_dump(each, sort_keys=False, width=100) for each in shown)


@pytest.mark.parametrize("name", ["minimal", "everything", "embedded"])
def test_the_chart_renders_what_was_reviewed(name: str, render: Callable[[str], Objects]):
    """A difference is either a mistake or a page to rewrite and review."""
    page = _page(render(name), without=[] if name == "minimal" else render("minimal"))
    golden = HERE / f"{name}.yaml"
    if os.environ.get("CARREL_REWRITE_GOLDENS"):
        golden.write_text(page)
    assert page == golden.read_text()


def test_two_renderings_are_equal(template: Template):
    """Nothing is drawn by lot, so an upgrade without a change changes nothing."""
    assert template("everything").stdout == template("everything").stdout


INDEX = {"name": "pypi", "url": "https://packages.example.org/simple/"}
BY_DIGEST = f"registry.example.org/identity@sha256:{'d' * 64}"
ADA, EVE = ({"username": name, "subject": "demo-ada"} for name in ("ada", "eve"))
DEMO = {
    "images": {"identity": {"ref": BY_DIGEST}},
    "frontDoor": {"host": "carrel.example.org"},
    "identity": {"service": "Demo"},
}
SITE = {
    "issuer": "https://login.example.org",
    "clientId": "carrel",
    "clientSecretName": "carrel-oidc",
    "reach": {"cidrs": ["198.51.100.20/32"]},
}
REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "default", "Carrel lives in the namespace carrel-system"),
    ({"images": {"platform": {"ref": ""}}}, "carrel-system", "images.platform.ref is missing"),
    (
        {"images": {"node": {"ref": "registry.example.org/node:latest"}}},
        "carrel-system",
        "does not name an image by its content",
    ),
    (
        {"images": {"workspace": {"ref": "registry.example.org/w@sha256:abc"}}},
        "carrel-system",
        "does not name an image by its content",
    ),
    (
        {"network": {"apiServer": {"cidrs": []}}},
        "carrel-system",
        "network.apiServer.cidrs is empty",
    ),
    ({"network": {"apiServer": {"cidrs": ["0.0.0.0/0"]}}}, "carrel-system", "every address"),
    ({"homes": {"backing": "StorageClass"}}, "carrel-system", "homes.storageClass is empty"),
    ({"homes": {"storageClass": "fast"}}, "carrel-system", "which uses no class"),
    (
        {
            "roleBindings": {
                "grantAdmin": {"users": ["oidc:one"], "groups": []},
                "approver": {"users": ["oidc:one"], "groups": []},
            }
        },
        "carrel-system",
        "Duties are separated",
    ),
    ({"mirror": {"service": "Offered"}}, "carrel-system", "mirror.upstreams is empty"),
    ({"frontDoor": {"host": "carrel"}}, "carrel-system", "a name without a dot"),
    ({"frontDoor": {"host": "a.example"}}, "carrel-system", "frontDoor.oidc.issuer is empty"),
    (
        {
            "frontDoor": {
                "host": "a.example",
                "oidc": {
                    "issuer": "https://login.example",
                    "clientId": "a",
                    "clientSecretName": "b",
                },
            }
        },
        "carrel-system",
        "frontDoor.oidc.reach.cidrs is empty",
    ),
    (
        {"mirror": {"service": "Offered", "upstreams": [INDEX]}},
        "carrel-system",
        "mirror.reach.cidrs is empty",
    ),
    (
        {"mirror": {"upstreams": [INDEX | {"url": "http://packages.example.org/simple/"}]}},
        "carrel-system",
        "url",
    ),
    ({"identity": {"service": "Demo"}}, "carrel-system", "images.identity.ref is missing"),
    (
        {"images": {"identity": {"ref": BY_DIGEST}}, "identity": {"service": "Demo"}},
        "carrel-system",
        "frontDoor.host is empty",
    ),
    (DEMO, "carrel-system", "identity.people is empty"),
    (DEMO | {"identity": {"service": "Demo", "people": [ADA, ADA]}}, "carrel-system", "ada twice"),
    (
        DEMO | {"identity": {"service": "Demo", "people": [ADA], "overseers": [EVE]}},
        "carrel-system",
        "subject demo-ada twice",
    ),
    (
        {"frontDoor": {"host": "carrel.example.org", "hub": "Offered", "oidc": SITE}},
        "carrel-system",
        "hub.oidc.clientSecretName is empty",
    ),
    ({"frontDoor": {"host": "https://carrel.example.org"}}, "carrel-system", "host"),
    ({"operater": {}}, "carrel-system", "operater"),
    ({"users": {"prefix": ""}}, "carrel-system", "prefix"),
    ({"homes": {"backing": "Whatever"}}, "carrel-system", "backing"),
]


@pytest.mark.parametrize(("over", "namespace", "words"), REFUSALS)
def test_a_value_that_cannot_be_meant_is_refused_in_words(
    over: dict[str, Any], namespace: str, words: str, template: Template
):
    """Nothing is installed from values that contradict each other or open too much."""
    done = template("minimal", over, namespace=namespace)
    assert (done.returncode, words in done.stderr) == (1, True), done.stderr
