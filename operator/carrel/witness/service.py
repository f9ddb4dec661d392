"""The HTTP side of the witness: C2SP tlog-witness, plain and small."""

import hashlib
import logging

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge

from carrel.ledger.errors import LedgerError
from carrel.witness.cosigner import Cosigner, RefusedError, parse_submission
from carrel.witness.memory import Memory

LARGEST_BODY = 64 * 1024
_log = logging.getLogger(__name__)


class Service:
    """The routes of a witness."""

    def __init__(
        self, cosigner: Cosigner, memory: Memory, *, origins: list[str], registry: CollectorRegistry
    ) -> None:
        self._cosigner = cosigner
        self._memory = memory
        self._origins = {hashlib.sha256(each.encode()).hexdigest(): each for each in origins}
        self._answers = Counter(
            "carrel_witness_answers", "Requests by status", ["status"], registry=registry
        )
        self._size = Gauge(
            "carrel_witness_size", "Entries of the checkpoint cosigned last", registry=registry
        )

    def application(self) -> web.Application:
        """Return the routes."""
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_post("/add-checkpoint", self._add)
        application.router.add_get("/{log:[0-9a-f]{64}}/checkpoint", self._last)
        return application

    async def _add(self, request: web.Request) -> web.Response:
        try:
            submission = parse_submission(await request.read())
            # No await between looking at the memory and writing it: one request at a time.
            line = self._cosigner.cosign(submission).line
        except RefusedError as error:
            self._answers.labels(error.status).inc()
            if error.status != 409:
                _log.warning("not cosigned: %s", error)
            if error.size is not None:
                return web.Response(
                    status=409,
                    body=f"{error.size}\n".encode(),
                    headers={"Content-Type": "text/x.tlog.size"},
                )
            return web.Response(status=error.status, text=f"{error}\n")
        except (LedgerError, OSError) as error:
            self._answers.labels(500).inc()
            _log.error("not cosigned: %s", error)
            return web.Response(status=500, text=f"{error}\n")
        self._answers.labels(200).inc()
        self._size.set(int(submission.note.text.split("\n")[1]))
        return web.Response(text=line)

    async def _last(self, request: web.Request) -> web.Response:
        origin = self._origins.get(request.match_info["log"])
        note = self._memory.note(origin) if origin else None
        if note is None:
            return web.Response(status=404, text="nothing was cosigned for such a log\n")
        return web.Response(body=note.data, content_type="text/plain", charset="utf-8")
