"""The first process of a workspace: no pipe stays open, stops are passed on, nothing is left.

It changes its own descriptors and signal mask, so each test runs it as a process.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk.entrypoint import Exit, can_write, kernel_environment, server_environment
from desk.session_log import KEPT, open_session_log

WORKSPACE = Path(__file__).resolve().parents[3] / "images" / "workspace"
MOMENT = time.struct_time((2026, 5, 4, 3, 2, 1, 0, 124, 0))


def python(code: str) -> subprocess.Popen[bytes]:
    """Start `code` with the workspace's own modules on its path."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(WORKSPACE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_nothing_that_was_open_stays_open(tmp_path: Path):
    code = f"""
import os
from desk.entrypoint import hold_no_pipe
kept = os.open({str(tmp_path / "file")!r}, os.O_CREAT | os.O_RDWR)
hold_no_pipe()
print("to stdout", flush=True)
os.write(2, b"to stderr")
links = {{fd: os.readlink(f"/proc/self/fd/{{fd}}") for fd in (0, 1, 2)}}
try:
    os.fstat(kept)
except OSError:
    open({str(tmp_path / "seen")!r}, "w").write(repr(links))
"""
    assert python(code).communicate() == (b"", b"")
    assert (tmp_path / "seen").read_text() == repr(dict.fromkeys((0, 1, 2), "/dev/null"))


@pytest.mark.parametrize(
    ("is_open", "stop", "seconds", "outcome"),
    [
        ("lambda: False", "", 5, "None"),
        ("lambda: next(looks)", "", 5, "None"),
        ("lambda: True", "", 0.3, repr(Exit.TERMINATION_MESSAGE_OPEN)),
        ("lambda: True", "os.kill(os.getpid(), signal.SIGTERM)", 5, repr(Exit.STOPPED_EARLY)),
    ],
)
def test_the_wait_ends_when_the_message_is_closed_or_time_is_up_or_a_stop_comes(
    is_open: str, stop: str, seconds: float, outcome: str
):
    code = f"""
import os, signal
from desk.entrypoint import wait_while
looks = iter([True, True, False])
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
{stop}
print(repr(wait_while({is_open}, seconds={seconds})))
"""
    output, errors = python(code).communicate()
    assert (output.decode().strip(), errors) == (outcome, b"")


def test_a_container_without_a_termination_message_has_nothing_to_wait_for(tmp_path: Path):
    assert not can_write(tmp_path / "termination-log")
    (tmp_path / "termination-log").touch()
    assert can_write(tmp_path / "termination-log")


RUN = """
import os, signal
from desk import entrypoint
signal.pthread_sigmask(signal.SIG_BLOCK, entrypoint._HANDLED)
entrypoint.adopt_orphans()
print(entrypoint.run({command!r}, environment=os.environ, seconds={seconds}), flush=True)
"""


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)],
)
def test_the_servers_exit_code_is_the_workspaces(script: str, code: int):
    output, errors = python(RUN.format(command=("sh", "-c", script), seconds=None)).communicate()
    assert (output.decode().strip(), errors) == (str(code), b"")


def test_a_stop_is_passed_on_to_the_server():
    script = "trap 'exit 5' TERM; echo up; while :; do read -t 1 x < /dev/zero; done"
    process = python(RUN.format(command=("bash", "-c", script), seconds=None))
    with process:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == b"5\n"


def test_what_runs_too_long_is_killed_with_its_children():
    script = "sleep 600 & wait"
    process = python(RUN.format(command=("sh", "-c", script), seconds=0.5))
    # Ends only when no process holds the pipe any more, so `sleep` is dead as well.
    assert process.communicate(timeout=20) == (b"137\n", b"")


def test_orphans_are_reaped():
    script = "(sh -c 'exit 3' & ) ; sleep 0.3; ps -o stat= --ppid $PPID | grep -c Z; exit 0"
    output, _ = python(RUN.format(command=("sh", "-c", script), seconds=None)).communicate()
    assert output.split() == [b"0", b"0"]


def test_the_server_is_told_nothing_of_what_the_container_is_told_but_its_name():
    told = {"CARREL_WORKSPACE": "ws-a", "PYTHONPATH": "/home/carrel", "HOME": "/home/carrel"}
    said = server_environment(told)
    assert said["CARREL_WORKSPACE"] == "ws-a"
    assert "PYTHONPATH" not in said
    assert not [name for name, value in said.items() if value.startswith("/home/carrel")]
    assert said["PYTHONSAFEPATH"] == "1"


def test_kernels_are_told_all_that_their_container_is_told():
    told = {"HOME": "/home/carrel", "OMP_NUM_THREADS": "2"}
    assert kernel_environment(told) == {
        **told,
        "KG_ENV_PROCESS_WHITELIST": "HOME,OMP_NUM_THREADS",
    }


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o002)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_output_goes_to_a_log_of_the_session_that_both_users_of_the_home_read(tmp_path: Path):
    descriptor = open_session_log(tmp_path, name="session", moment=MOMENT)
    os.write(descriptor, b"hello")
    os.close(descriptor)
    log = tmp_path / ".carrel/logs/session-20260504T030201Z.log"
    assert log.read_text() == "hello"
    assert [path.stat().st_mode & 0o777 for path in (log, log.parent, log.parent.parent)] == [
        0o660,
        0o770,
        0o770,
    ]


def test_the_last_sessions_are_kept_and_older_ones_go(tmp_path: Path):
    folder = tmp_path / ".carrel/logs"
    folder.mkdir(parents=True)
    for day in range(1, 13):
        (folder / f"session-202604{day:02}T000000Z.log").touch()
    (folder / "server-20260401T000000Z.log").touch()
    os.close(open_session_log(tmp_path, name="session", moment=MOMENT))
    left = sorted(path.name for path in folder.glob("session-*"))
    assert len(left) == KEPT
    assert left[0] == "session-20260404T000000Z.log"
    assert left[-1] == "session-20260504T030201Z.log"
    assert (folder / "server-20260401T000000Z.log").exists()


def a_file(home: Path, _: Path) -> None:
    (home / ".carrel").write_text("a file where a folder is expected")


def a_linked_folder(home: Path, elsewhere: Path) -> None:
    (home / ".carrel").symlink_to(elsewhere)


def a_linked_folder_of_logs(home: Path, elsewhere: Path) -> None:
    (home / ".carrel").mkdir()
    (home / ".carrel/logs").symlink_to(elsewhere)


def a_link_for_a_log(home: Path, elsewhere: Path) -> None:
    (home / ".carrel/logs").mkdir(parents=True)
    (home / ".carrel/logs/server-20260504T030201Z.log").symlink_to(elsewhere / "log")


@pytest.mark.parametrize(
    "plant", [a_file, a_linked_folder, a_linked_folder_of_logs, a_link_for_a_log]
)
def test_a_home_that_is_broken_or_set_up_keeps_nobody_out_and_leads_nobody(
    plant: Callable[[Path, Path], None], tmp_path: Path
):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (elsewhere / "server-1").touch()
    plant(home, elsewhere)
    descriptor = open_session_log(home, name="server", moment=MOMENT)
    assert Path(f"/proc/self/fd/{descriptor}").readlink() == Path("/dev/null")
    os.close(descriptor)
    assert [each.name for each in elsewhere.iterdir()] == ["server-1"]
