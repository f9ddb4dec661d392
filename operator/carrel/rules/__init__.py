"""Pure decisions, each a named check that reads as the sentence it denies.

Input is what was observed, output a verdict with the rule's name. No I/O, no clock, no randomness.
"""

from carrel.rules.canonical import NotCanonicalError, canonical_json, digest, digest_of
from carrel.rules.condition import condition, find, is_true, settle
from carrel.rules.explain import explain_grant, explain_scope
from carrel.rules.facts import HomeProvision, PolicyEnforcement, SiteFacts
from carrel.rules.grant import grant_may_go, has_stopped, judge_grant
from carrel.rules.names import (
    POD_NAME,
    approval_name,
    grant_label,
    home_name,
    home_volume_name,
    ingest_job_name,
    node_report_name,
    view_volume_name,
    workspace_name,
)
from carrel.rules.observed_grant import (
    DesiredWorkspace,
    GrantVerdict,
    ObservedGrant,
    ReadyNode,
)
from carrel.rules.observed_workspace import (
    ObservedWorkspace,
    PodDecision,
    PolicyPresence,
    Release,
    WorkspaceVerdict,
)
from carrel.rules.pod import ObservedPod, PodStage, read_pod
from carrel.rules.scope import Widening, approved_scope, scope_text, widenings
from carrel.rules.view_path import view_path
from carrel.rules.workspace import judge_workspace

__all__ = [
    "POD_NAME",
    "DesiredWorkspace",
    "GrantVerdict",
    "HomeProvision",
    "NotCanonicalError",
    "ObservedGrant",
    "ObservedPod",
    "ObservedWorkspace",
    "PodDecision",
    "PodStage",
    "PolicyEnforcement",
    "PolicyPresence",
    "ReadyNode",
    "Release",
    "SiteFacts",
    "Widening",
    "WorkspaceVerdict",
    "approval_name",
    "approved_scope",
    "canonical_json",
    "condition",
    "digest",
    "digest_of",
    "explain_grant",
    "explain_scope",
    "find",
    "grant_label",
    "grant_may_go",
    "has_stopped",
    "home_name",
    "home_volume_name",
    "ingest_job_name",
    "is_true",
    "judge_grant",
    "judge_workspace",
    "node_report_name",
    "read_pod",
    "scope_text",
    "settle",
    "view_path",
    "view_volume_name",
    "widenings",
    "workspace_name",
]
