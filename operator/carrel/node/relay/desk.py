"""The desk service of a workspace: tells why something was refused, and what would be.

It answers from what is known on this node and asks nobody. It reads no header of a request, so
that nothing a workspace writes into one can pass for something that the platform said.
"""

import json
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from carrel.kinds.desk import Explanation, Me, Refusals
from carrel.kinds.egress import EgressPolicySpec
from carrel.node.handover import Binding
from carrel.rules.egress import EgressRules, decide
from carrel.rules.egress_target import TargetError, parse_target

_LONGEST_TARGET = 1_024


class Desk:
    """Answers the questions of one workspace about itself."""

    def __init__(
        self,
        binding: Binding,
        *,
        own_name: str,
        policy: EgressRules,
        spec: EgressPolicySpec | None,
        refusals: Path,
    ) -> None:
        self._binding = binding
        self._own_name = own_name
        self._policy = policy
        self._spec = spec
        self._refusals = refusals

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.method not in {"GET", "HEAD"}:
            return _refused(405, "desk.method_not_allowed", "Only GET is answered here.")
        match request.path:
            case "/v1/why":
                return self._why()
            case "/v1/explain":
                return self._explain(request.query.get("to", ""))
            case "/v1/me":
                return _json(self._me().model_dump_json(by_alias=True))
            case _:
                known = "The desk knows /v1/why, /v1/explain?to=... and /v1/me."
                return _refused(404, "desk.path_not_known", known)

    def _why(self) -> web.Response:
        try:
            listed = Refusals.model_validate_json(self._refusals.read_bytes())
        except FileNotFoundError:
            listed = Refusals(refusals=(), lost=0, total=0)
        except (OSError, ValidationError):
            return _refused(
                503,
                "desk.refusals_not_readable",
                "The list of refusals cannot be read now; they are refused and counted all the "
                "same. Try again in a minute.",
            )
        return _json(listed.model_dump_json(by_alias=True))

    def _explain(self, target: str) -> web.Response:
        try:
            attempt = parse_target(target[:_LONGEST_TARGET], own_name=self._own_name)
        except TargetError as error:
            return _refused(400, "desk.target_not_understood", str(error))
        ruling = decide(attempt, self._policy)
        found = Explanation(
            target=target[:_LONGEST_TARGET],
            outcome=ruling.outcome.value,
            rule=ruling.rule,
            sentence=ruling.sentence,
            todo=ruling.todo,
        )
        return _json(found.model_dump_json(by_alias=True))

    def _me(self) -> Me:
        return Me(
            grant=self._binding.grant,
            workspace=self._binding.workspace,
            researcher=self._binding.researcher,
            expires=self._binding.expires,
            policy=self._binding.egress_policy,
            policy_title=self._spec.title if self._spec else "",
        )


def _json(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")


def _refused(status: int, rule: str, sentence: str) -> web.Response:
    answer = web.Response(
        status=status,
        text=json.dumps({"rule": rule, "sentence": sentence}),
        content_type="application/json",
    )
    answer.force_close()
    return answer
