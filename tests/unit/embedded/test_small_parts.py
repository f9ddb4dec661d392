"""Name questions, released volumes, and what the doctor says."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.embedded import EmbeddedError, dns, volumes
from carrel.embedded.doctor import Check, Verdict, mend, missing

# Made with a real resolver: id 1, one question, one answer 10.96.0.1.
_REPLY = bytes.fromhex(
    "000185000001000100000000"
    "0a6b756265726e657465730764656661756c7403737663"
    "07636c7573746572056c6f63616c0000010001"
    "c00c00010001000000050004" + "0a600001"
)


def test_a_question_is_what_a_resolver_understands() -> None:
    asked = dns.question("kubernetes.default.svc.cluster.local", number=1)
    assert asked[12:] == _REPLY[12 : len(asked)]


@pytest.mark.parametrize(
    ("change", "answered"),
    [
        ({}, True),
        ({1: 2}, False),
        ({2: 0x05}, False),
        ({3: 0x03}, False),
        ({7: 0}, False),
    ],
    ids=["as it came", "another question's", "not a reply", "no such name", "no answer in it"],
)
def test_a_reply_counts_only_when_it_answers(change: dict[int, int], answered: bool) -> None:  # noqa: FBT001  # a column of the table
    reply = bytearray(_REPLY)
    for place, value in change.items():
        reply[place] = value
    assert dns.answers(bytes(reply), number=1) is answered


@given(st.binary(max_size=64))
def test_no_reply_whatever_makes_it_fail(reply: bytes) -> None:
    assert dns.answers(reply, number=1) in {True, False}


def volume(**change: Any) -> dict[str, Any]:
    made = {"spec": {"storageClassName": "carrel-local"}, "status": {"phase": "Released"}}
    return {**made, **change}


@pytest.mark.parametrize(
    ("given_", "ours"),
    [
        (volume(), True),
        (volume(status={"phase": "Bound"}), False),
        (volume(status={"phase": "Available"}), False),
        (volume(status={}), False),
        (volume(spec={"storageClassName": "other"}), False),
        (volume(spec={}), False),
    ],
)
def test_only_our_released_volumes_are_emptied(given_: dict[str, Any], ours: bool) -> None:  # noqa: FBT001  # a column of the table
    assert volumes.is_released(given_) is ours


def test_emptying_leaves_a_fresh_folder_and_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "file").touch()
    (data / "link").symlink_to(outside)
    volumes.empty(data)
    assert list(data.iterdir()) == []
    assert (outside / "kept").exists()


def test_kubectl_s_stream_is_cut_into_documents() -> None:
    lines = ["{\n", '    "a": {\n', "    }\n", "}\n", "{\n", '    "b": 1\n', "}\n"]
    assert list(volumes._documents(lines)) == [{"a": {}}, {"b": 1}]


def check(verdict: Verdict, *packages: str) -> Check:
    return Check(subject="s", verdict=verdict, found="f", mend="m", packages=packages)


def test_only_what_is_missing_is_named() -> None:
    lacks = check(Verdict.MISSING, "nftables")
    assert missing([check(Verdict.OK), lacks]) == (lacks,)


def test_nothing_missing_installs_nothing() -> None:
    assert mend([check(Verdict.OK)]) == ()


def test_without_root_a_package_is_named_and_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(EmbeddedError, match="Installing nftables needs root"):
        mend([check(Verdict.MISSING, "nftables")])
