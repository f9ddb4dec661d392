"""A workspace's loopback services as tests serve them: whose they are, and its desk."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from carrel.kinds.egress import EgressAllowance, EgressPolicySpec
from carrel.node.handover import Binding, OnRecorderLoss
from carrel.node.relay.desk import Desk
from carrel.node.relay.http import serve_http
from carrel.rules.egress import egress_rules

SPEC = EgressPolicySpec(title="Nothing leaves", allow=EgressAllowance.NOTHING)
BINDING = Binding(
    pod_uid="6f0f4d8e-2f5f-4f6d-9b3c-1f1b7a6c2d10",
    node="node-1",
    boot_id="5d6f9c64-6b22-4a65-bb1f-0a4ed57fd3a1",
    netns=4026532000,
    namespace="ws-ada",
    workspace="ws-ada",
    workspace_uid="b7d0c5cc-4f5c-4b1c-9f9a-6c5be8f9d2a1",
    grant="brain-mri",
    grant_uid="0b5f3c52-9a1e-4b40-8f6f-1df8f1f3a001",
    researcher="ada",
    expires="2027-03-09T09:00:00.000Z",
    egress_policy="nothing",
    egress_policy_digest="sha256:" + "0" * 64,
    egress_policy_spec=SPEC.model_dump_json(by_alias=True),
    on_recorder_loss=OnRecorderLoss.CLOSE_EGRESS,
)
STROKE = replace(
    BINDING,
    boot_id="boot",
    namespace="ws-stroke",
    workspace="ws-stroke",
    workspace_uid="uid-1",
    grant="stroke",
    grant_uid="grant-1",
    researcher="alice",
    egress_policy_spec="",
)
"""Another workspace, whose policy is not known yet."""


@asynccontextmanager
async def desk(refusals: Path) -> AsyncIterator[str]:
    """Serve the desk of `BINDING` over a file of refusals; yield its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    made = Desk(
        BINDING,
        own_name="workspace",
        policy=egress_rules("nothing", SPEC),
        spec=SPEC,
        refusals=refusals,
    )
    task = asyncio.create_task(serve_http(listener, made.answer))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        listener.close()
