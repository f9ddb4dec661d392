"""What is generated and committed is what the code says today.

The definitions in charts/carrel-crds are the goldens: a reviewer reads their diff. The page
of the command line is left to `carrel generate --check`, which sees the whole command.
"""

from pathlib import Path

import pytest

from carrel.cli.generate import generated_files, stray_files

ROOT = Path(__file__).parents[3]
FILES = generated_files(ROOT)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_the_file_is_what_the_code_says(path: Path) -> None:
    assert (ROOT / path).read_text() == FILES[path], "run `carrel generate`"


def test_no_file_is_made_from_nothing() -> None:
    assert stray_files(ROOT, FILES) == []
