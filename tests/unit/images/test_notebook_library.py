"""The researchers' library, asked as a person asks it, of the platform's own desk."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from carrel.render.desk_wire import desk_wire
from support import loopback

pytestmark = pytest.mark.loopback

LIBRARY = Path(__file__).parents[3] / "images/workspace/notebook/src"
REFUSAL = {
    "first": "2026-03-02T09:00:00.000Z",
    "last": "2026-03-02T09:00:05.000Z",
    "count": 3,
    "protocol": "tcp",
    "address": "203.0.113.1",
    "port": 443,
    "name": None,
    "layer": "network",
    "rule": "egress.nothing_allowed",
    "sentence": "Nothing is <open>.\x1b[2J",
    "todo": "Ask the grant administrator.",
}
COMMAND = "import sys; from carrel.command import main; sys.exit(main())"
MAGIC = """
from carrel import load_ipython_extension
class Shell:
    def register_magic_function(self, function, kind, name):
        self.call = function
shell = Shell()
load_ipython_extension(shell)
print(shell.call("why 1")._repr_html_())
print(shell.call("explain localhost"))
shell.call("open everything")
"""


@asynccontextmanager
async def desk(folder: Path, *refusals: object) -> AsyncIterator[str]:
    path = folder / "pod.json"
    path.write_text(json.dumps({"refusals": refusals, "lost": 2, "total": 5}))
    async with loopback.desk(path) as address:
        yield address


async def ask(address: str, *arguments: str, source: str = COMMAND) -> tuple[int, str, str]:
    """Run the library in a Python of its own: it shares its import name with the platform."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", source, *arguments),
        env=os.environ
        | {
            "PYTHONPATH": str(LIBRARY),
            "PYTHONDONTWRITEBYTECODE": "1",  # the folder is the context of an image
            "CARREL_DESK": address,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


async def test_why_says_what_was_refused_how_often_and_what_to_do(tmp_path: Path):
    async with desk(tmp_path, REFUSAL) as address:
        code, said, _ = await ask(address, "why")
    assert code == 0
    assert said.splitlines() == [
        "09:00:05  tcp 203.0.113.1:443  3 times",
        "          Nothing is <open>.\\x1b[2J (egress.nothing_allowed)",
        "          -> Ask the grant administrator.",
        "",
        "5 attempts were refused in all; of 2 only the number is known. Times are UTC.",
    ]


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"address": "", "port": None, "name": "evil.example"}, "evil.example"),
        (
            {"protocol": "udp", "port": 53, "name": "evil.example"},
            "evil.example (udp 203.0.113.1:53)",
        ),
        ({"address": "2001:db8::1"}, "tcp [2001:db8::1]:443"),
    ],
)
async def test_why_names_what_was_asked_and_whom(
    tmp_path: Path, change: dict[str, object], shown: str
):
    async with desk(tmp_path, REFUSAL | change) as address:
        _, said, _ = await ask(address, "why")
    assert said.splitlines()[0] == f"09:00:05  {shown}  3 times"


async def test_why_as_data_is_what_the_desk_told(tmp_path: Path):
    async with desk(tmp_path, REFUSAL, REFUSAL | {"port": 80}) as address:
        _, said, _ = await ask(address, "why", "--json", "--last", "1")
    assert json.loads(said) == {
        "refusals": [REFUSAL | {"port": 80}],
        "lost": 2,
        "total": 5,
    }


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("8.8.8.8:443", 1, "8.8.8.8:443: refused"),
        ("localhost", 0, "localhost: allowed"),
        ("no such thing", 2, "desk.target_not_understood"),
    ],
)
async def test_explain_answers_by_exit_code_too(tmp_path: Path, target: str, code: int, words: str):
    async with desk(tmp_path) as address:
        got, said, error = await ask(address, "explain", target)
    assert got == code
    assert words in said + error


async def test_me_names_the_grant(tmp_path: Path):
    async with desk(tmp_path) as address:
        code, said, _ = await ask(address, "me")
    assert code == 0
    assert said.splitlines()[0].split() == ["grant", "brain-mri"]


async def test_without_a_desk_a_sentence_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    code, _, error = await ask(address, "why")
    assert code == 3
    assert "Nobody answers at the desk" in error
    assert "Traceback" not in error


async def test_the_magic_shows_a_table_and_turns_nonsense_down_with_a_sentence(tmp_path: Path):
    async with desk(tmp_path, REFUSAL) as address:
        code, said, _ = await ask(address, source=MAGIC)
    assert code == 0
    assert "Nothing is &lt;open&gt;." in said
    assert "localhost: allowed" in said
    assert "Write one of: %carrel why" in said


def test_the_librarys_half_of_the_answers_is_the_platforms():
    assert (LIBRARY / "carrel/wire.py").read_text() == desk_wire()


def test_the_library_imports_nothing_but_the_standard_library_and_itself():
    told = {
        word.split(".")[0]
        for path in (LIBRARY / "carrel").glob("*.py")
        for line in path.read_text().splitlines()
        if line.startswith(("import ", "from ")) and not line.startswith("from .")
        for word in [line.split()[1]]
    }
    assert told <= set(sys.stdlib_module_names)
