"""Every condition that the rules write, and every reason it may carry, in a sentence each.

The reference page is made from this table, and a test compares it with the reasons that stand
in the code. Conditions whose reasons a node, an ingest or the operator's own observation gives
are described where those are.
"""

from collections.abc import Mapping

from carrel.rules.egress import EgressRule

_NOT_WANTED = {
    "GrantNotInForce": "The grant is not in force, so nothing runs; see the grant.",
    "Expired": "The workspace's own end has come, whatever the operator has said since.",
    "Deleted": "Somebody deleted the Workspace; while the grant is in force it is made again.",
    "Stopped": "Nobody asks it to run: `spec.desired` is Stopped.",
}
_NOT_STARTED = {
    "NoPod": "There is no pod yet.",
    "WaitsForNode": "The pod is held back until a node holds view and home.",
    "PolicyMissing": "The pod is held back until the deny-all NetworkPolicy is in place.",
    "NotScheduled": "No node has taken the pod; the message says why.",
    "Starting": "The node starts the pod; the message says what it waits for.",
    "Ended": "The pod ended; it is made again after ten seconds if it should run.",
}
_OF_NODES = {
    "Acknowledged": "A node that was asked has it in place.",
    "NoNode": "No node can hold views now.",
    "NodeGone": "The node that has it no longer exists.",
    "NotReported": "The node that was asked has not spoken of it yet.",
}

REASONS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "AccessGrant": {
        "Approved": {
            "Approved": "Enough different people said yes to all that the grant asks for.",
            "ScopeUnknown": "What the grant names does not all exist, so there is no scope.",
            "ScopeWider": "The grant asks for more than an approval says yes to.",
            "ApprovalsMissing": "Too few approvals count.",
        },
        "DatasetsReady": {
            "AllReady": "Every dataset is Ready.",
            "DatasetUnknown": "A dataset version that the grant names does not exist.",
            "DatasetNotReady": "A dataset is not Ready; see its own conditions.",
            "SelectionEmpty": "A selection names nothing.",
        },
        "InForce": {
            "InForce": "Researchers may work.",
            "Deleted": "The grant is being deleted, which is revoking it.",
            "Revoked": "The grant is revoked for good.",
            "Expired": "The end has come.",
            "Suspended": "The grant rests until its state is Active again.",
            "DatasetUnknown": "A dataset version that the grant names does not exist.",
            "DatasetNotReady": "A dataset is not Ready.",
            "SelectionEmpty": "A selection names nothing.",
            "ClassUnknown": "The workspace class does not exist.",
            "PolicyUnknown": "The egress policy does not exist.",
            "PurposeLacksUseCode": "A dataset demands a use term that the purpose lacks.",
            "NetworkPolicyNotEnforced": "Both locks are demanded, and one is not there.",
            "ScopeWider": "The grant asks for more than was approved.",
            "ScopeUnknown": "What the grant names does not all exist.",
            "ApprovalsMissing": "Too few approvals count.",
            "NotYetValid": "The grant has not begun.",
        },
        "WorkspacesReady": {
            "AllReady": "Every workspace that should run is Ready.",
            "NoneWanted": "No workspace is asked to run.",
            "SomeNotReady": "A workspace that should run is not Ready; the message names it.",
            "Stopping": "The grant is not in force, and something may still run.",
            "Stopped": "The grant is not in force, and nothing runs.",
        },
    },
    "Approval": {
        "Counts": {
            "Counted": "The approval counts for its grant.",
            "Withdrawn": "The approval is being deleted.",
            "ScopeDigestWrong": "`scopeDigest` is not the SHA-256 of `scope`.",
            "ScopeUnreadable": "`scope` is not an approved scope in canonical JSON.",
            "GrantUIDDiffers": "The approval was made for an earlier grant of the name.",
            "EvidenceNotSupported": "This version cannot verify this type of evidence.",
            "NotAnIssuerUser": "The approver's name lacks the prefix of the identity provider.",
            "ApproverIsRequester": "The approver asked for the grant.",
            "ApproverIsResearcher": "The approver would work under the grant.",
            "ScopeWider": "The grant asks for more than this approval says yes to.",
            "ApproverAlreadyCounts": "Another approval of the same person counts.",
            "ScopeUnknown": "The grant's scope is not known now.",
        },
    },
    "Workspace": {
        "ViewReady": {
            **_OF_NODES,
            "GrantNotInForce": "Views are for grants in force.",
        },
        "HomeReady": {
            **_OF_NODES,
            "StorageClass": "The home is a claim of the site's StorageClass.",
        },
        "PolicyEnforced": {
            "DenyAll": "The deny-all NetworkPolicy is in place, and canary pods proved it.",
            "PolicyMissing": "The deny-all NetworkPolicy is not in place.",
            "NotEnforcedHere": "The cluster does not enforce NetworkPolicy.",
            "NotProven": "No canary pod proved within 25 minutes that the cluster enforces it.",
            "CanaryGotThrough": "A canary pod got out from under a deny-all NetworkPolicy.",
        },
        "Locked": {
            "Proven": "The node loaded the lock and the gate proved it from inside.",
            "NoPod": "There is no pod to lock.",
            "NotReported": "The pod's node has not spoken of this pod.",
            "NotProven": "The lock is loaded or proven in part only.",
        },
        "EgressRecorded": {
            "NoPod": "There is no pod whose attempts could be recorded.",
            "NotReported": "The pod's node has not spoken of this pod's records.",
        },
        "Started": {**_NOT_WANTED, **_NOT_STARTED, "Started": "The workspace runs."},
        "Ready": {
            **_NOT_WANTED,
            **_NOT_STARTED,
            "Stopping": "The pod is being deleted.",
            "NotLocked": "The workspace runs, but its lock is not proven.",
            "NotAnswering": "The notebook server does not answer yet.",
            "Ready": "The notebook server answers and the network is locked.",
        },
        "SelfChecked": {
            "NotAsked": "No check is asked for.",
            "NotReported": "The check has not reported yet.",
        },
        "Stopped": {
            "PodExists": "There is a pod.",
            "NotProven": "The pod is gone; its node has not recorded an empty cgroup.",
            "CgroupEmpty": "The node recorded that nothing runs.",
            "NeverRan": "No node ever reported a pod.",
        },
    },
}
"""Kind -> condition -> reason -> what it means."""

EGRESS: Mapping[EgressRule, str] = {
    EgressRule.LOOPBACK: "The destination is inside the workspace.",
    EgressRule.OWN_NAME: "The name is the workspace's own.",
    EgressRule.PACKAGE_LISTED: "The policy lists the package; it comes from the site's mirror.",
    EgressRule.WITHIN_BUDGET: "The grant's budget of the day is not used up.",
    EgressRule.NOTHING_ALLOWED: "The policy opens nothing, cannot be read or does not exist.",
    EgressRule.NO_DIRECT_CONNECTION: "No policy opens an address; packages come from the mirror.",
    EgressRule.ADDRESS_NOT_VALID: "What was written is no IPv4 or IPv6 address.",
    EgressRule.NAME_NEVER_FORWARDED: "No name leaves a workspace, so none outside has an address.",
    EgressRule.INDEX_NOT_LISTED: "The policy lists no package of this index.",
    EgressRule.PACKAGE_NOT_LISTED: "The policy does not list the package; nobody was asked for it.",
    EgressRule.PACKAGE_NAME_NOT_VALID: "What was written can be no name of a package.",
    EgressRule.FILE_NOT_SERVED: "The file is no wheel or source archive of that package.",
    EgressRule.REQUESTS_USED_UP: "The grant's workspaces had all of the day's requests.",
    EgressRule.VOLUME_USED_UP: "The grant's workspaces had all of the day's MiB.",
}
"""Rule of egress -> what it means; allowed first."""
