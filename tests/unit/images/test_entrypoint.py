"""The first process of a workspace: no pipe stays open, stops are passed on, nothing is left.

It changes its own descriptors and signal mask, so each test runs it as a process.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from desk.entrypoint import Exit, can_write, write_token
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


def test_the_token_is_new_each_time_and_for_this_user_alone(tmp_path: Path):
    first = write_token(tmp_path).read_text()
    path = write_token(tmp_path)
    assert path.read_text() != first
    assert len(first) >= 40
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_planted_link_does_not_receive_the_token(tmp_path: Path):
    (tmp_path / "jupyter-token").symlink_to(tmp_path / "elsewhere")
    write_token(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_output_goes_to_a_log_of_the_session_that_only_its_owner_reads(tmp_path: Path):
    descriptor = open_session_log(tmp_path, moment=MOMENT)
    os.write(descriptor, b"hello")
    os.close(descriptor)
    log = tmp_path / ".carrel/logs/session-20260504T030201Z.log"
    assert log.read_text() == "hello"
    assert [path.stat().st_mode & 0o777 for path in (log, log.parent, log.parent.parent)] == [
        0o600,
        0o700,
        0o700,
    ]


def test_the_last_sessions_are_kept_and_older_ones_go(tmp_path: Path):
    folder = tmp_path / ".carrel/logs"
    folder.mkdir(parents=True)
    for day in range(1, 13):
        (folder / f"session-202604{day:02}T000000Z.log").touch()
    os.close(open_session_log(tmp_path, moment=MOMENT))
    left = sorted(path.name for path in folder.iterdir())
    assert len(left) == KEPT
    assert left[0] == "session-20260404T000000Z.log"
    assert left[-1] == "session-20260504T030201Z.log"


def test_a_broken_home_does_not_keep_its_owner_out(tmp_path: Path):
    (tmp_path / ".carrel").write_text("a file where a folder is expected")
    descriptor = open_session_log(tmp_path, moment=MOMENT)
    assert Path(f"/proc/self/fd/{descriptor}").readlink() == Path("/dev/null")
    os.close(descriptor)
