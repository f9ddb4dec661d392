"""What an approver and an administrator read."""

from carrel.rules import explain_grant, explain_scope, judge_grant
from support.samples import approval, condition, grant, observed_grant, scope


def test_a_scope_reads_as_what_is_said_yes_to() -> None:
    part = {"name": "chest-ct", "version": 1, "selection": {"subjects": ["p1"], "studies": []}}
    assert explain_scope(scope(grant(datasets=[part]))) == (
        "oidc:requester asks for project lungs.",
        "Who may work: ada, grace (2 people).",
        "What for (DUO:0000007): Find nodules.",
        (
            "Which images: chest-ct, version 1, only 1 subject, 0 studies and 0 series of it "
            "(content sha256:aaaaaaaaaaaa…)."
        ),
        "When: from 2026-11-01 00:00:00 UTC to 2026-12-01 00:00:00 UTC (30 whole days).",
        "Where: in a workspace of class small; what may be reached from it is policy nothing.",
        "Network: locked in the pod and by the cluster's NetworkPolicy.",
        "Recording: when refused attempts cannot be recorded, nothing is reachable any more.",
        "How: in the notebook and in the batch queue, together at most 8 cores, 32 GiB and 1 GPU.",
        "Afterwards: homes are kept 30 days, then deleted.",
    )


def test_the_narrowest_scope_says_so() -> None:
    narrow = grant(
        mode="Interactive",
        locks="InPod",
        home={"retention": "Delete"},
        onRecorderLoss="Terminate",
    )
    said = explain_scope(scope(narrow))
    assert said[3] == "Which images: chest-ct, version 1, all of it (content sha256:aaaaaaaaaaaa…)."
    assert said[-4:] == (
        "Network: locked in the pod only; NetworkPolicy need not be enforced.",
        "Recording: when refused attempts cannot be recorded, the workspace ends.",
        "How: in the notebook only.",
        "Afterwards: homes are deleted as soon as nothing runs.",
    )


def test_what_would_move_the_cursor_or_hide_is_shown() -> None:
    sly = grant(purpose={"statement": "Fine.\x1b[2K\r\u202eevil\u200b", "codes": []})
    assert explain_scope(scope(sly))[2] == (r"What for: Fine.\u{1b}[2K\u{d}\u{202e}evil\u{200b}")


def test_a_grant_in_force_explains_itself() -> None:
    status = judge_grant(observed_grant()).status
    said = explain_grant(grant(status=status.to_wire()), approvals=(approval(),))
    assert said[:4] == (
        "Grant lungs, state Active, project lungs, for 2 people, until 2026-12-01 00:00:00 UTC.",
        "Approved: yes (Approved). Approved by oidc:approver.",
        "DatasetsReady: yes (AllReady). Every dataset is Ready.",
        "InForce: yes (InForce). The grant is in force until 2026-12-01T00:00:00Z.",
    )
    assert "Approval yes by oidc:approver: not looked at yet." in said


def test_a_revoked_grant_tells_when_homes_go() -> None:
    status = judge_grant(observed_grant(grant=grant(state="Revoked"))).status
    said = explain_grant(grant(state="Revoked", status=status.to_wire()), approvals=())
    assert said[-2:] == (
        "The grant ended at 2026-11-22 12:00:00 UTC.",
        "Homes are deleted after 2026-12-22 12:00:00 UTC.",
    )


def test_a_grant_that_nobody_looked_at_says_where_to_look() -> None:
    assert explain_grant(grant(), approvals=()) == (
        (
            "Grant lungs: the operator has not looked at it yet. If this stays so, look at "
            "`kubectl -n carrel-system get pods`."
        ),
    )


def test_an_older_observation_is_called_so() -> None:
    old = grant(status={"conditions": [condition("InForce")], "observedGeneration": 0})
    assert "The operator has not looked at the latest change yet." in explain_grant(
        old, approvals=()
    )
