"""What the command line says of itself."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer

from carrel.cli.main import app


def _commands(command: object, path: str) -> Iterator[tuple[str, str]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path, " ".join(str(getattr(command, "help", "")).split())
        return
    for name, each in below.items():
        yield from _commands(each, f"{path} {name}")


_AS_CARREL = "import sys; sys.argv[0] = 'carrel'; from carrel.cli import main; main()"
COMMANDS = dict(_commands(typer.main.get_command(app), "carrel"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_of_itself(command: str) -> None:
    _, told, example = COMMANDS[command].partition("Example")
    assert told
    assert command in example


@pytest.mark.long
def test_the_shell_completes_a_command() -> None:
    asked = {"_CARREL_COMPLETE": "complete_bash", "COMP_WORDS": "carrel gr", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _AS_CARREL],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["grant"]
