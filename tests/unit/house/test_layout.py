"""The house: what the layout promises and no linter checks."""

import ast
import operator
import subprocess
import sysconfig
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
SOURCES = sorted((REPOSITORY / "operator").rglob("*.py"))
CODE = [
    path
    for top in ("operator", "tests", "images")
    for path in sorted((REPOSITORY / top).rglob("*.py"))
]
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


def test_the_standard_library_keeps_its_operator_module():
    """`operator/` plays the part of `src/`; an `__init__.py` in it would break Python itself."""
    assert Path(operator.__file__ or "").parent == Path(sysconfig.get_path("stdlib"))
    assert not (REPOSITORY / "operator" / "__init__.py").exists()
    assert [p.name for p in (REPOSITORY / "operator").iterdir() if p.suffix == ".py"] == []


def test_no_file_is_longer_than_400_lines():
    """A file that does not fit into one head is two files."""
    lengths = {named(path): len(path.read_text().splitlines()) for path in CODE}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_every_module_says_what_it_is_for():
    """A module begins with a docstring and bears a noun of the domain."""
    mute = [named(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert mute == [], "these modules have no docstring"
    assert [named(path) for path in SOURCES if path.stem in FORBIDDEN_NAMES] == []


def named(path: Path) -> str:
    """Return a path as people say it."""
    return str(path.relative_to(REPOSITORY))


def test_nothing_names_a_package_registry_in_a_lock():
    """Locks hold hashes, not places: where packages come from is the machine's business."""
    for lock in (REPOSITORY / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "--index-url" not in text
        assert "://" not in text
        assert "--hash=sha256:" in text


def test_every_tracked_shell_or_workflow_file_is_tracked_on_purpose():
    """Generated folders never enter the repository."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    strays = [p for p in tracked if "__pycache__" in p or p.endswith((".pyc", ".log", ".tar"))]
    assert strays == []


def test_the_readme_names_the_two_commands():
    """A newcomer needs `make demo` and `make test` and finds both."""
    readme = (REPOSITORY / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
