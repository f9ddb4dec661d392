"""Logging in and out: at the provider, here, and wherever something of the person is open."""

import asyncio
import logging
from collections import OrderedDict
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from carrel.flows.clock import Clock
from carrel.gateway import answers, cookies
from carrel.gateway.control import Control
from carrel.gateway.errors import ProviderAwayError, StateError
from carrel.gateway.journal import Journal
from carrel.gateway.provider import Attempt, Person, Provider
from carrel.gateway.sessions import Sessions, short
from carrel.ledger import Activity, LedgerError
from carrel.render.door_pages import left_page
from carrel.rules.front_door import Refused
from carrel.rules.front_door_place import FrontDoor
from carrel.rules.oidc import TokenError
from carrel.rules.request_target import Target, TargetError, read_target

_MOST_REMEMBERED = 10_000
FORM_SECONDS = 10.0
_LARGEST_FORM = 32 * 1024
_AGAIN = "Go to the first page and log in again."
_log = logging.getLogger(__name__)


class Login:
    """The pages and the endpoint of logging in and out."""

    def __init__(
        self,
        front: FrontDoor,
        provider: Provider,
        sessions: Sessions,
        *,
        control: Control,
        journal: Journal,
        seal: cookies.Seal,
        clock: Clock,
    ) -> None:
        self._front = front
        self._provider = provider
        self._sessions = sessions
        self._control = control
        self._journal = journal
        self._seal = seal
        self._clock = clock
        self._used: OrderedDict[str, None] = OrderedDict()

    async def begin(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        """Send a browser to the provider."""
        onward = dict(target.query).get("next", "/")
        try:
            known = read_target(onward)
        except TargetError:
            known = read_target("/")
        try:
            where, attempt = await self._provider.begin(onward=known.text)
        except (ProviderAwayError, TokenError) as error:
            _log.error("%s", error)
            return self._refused(request, _away())
        answer = answers.redirect(where)
        sealed = self._seal.close(attempt, now=self._clock.now().timestamp())
        cookies.give(answer, cookies.LOGIN, sealed, seconds=cookies.LOGIN_SECONDS, strict=False)
        return answer

    async def finish(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        """Take a browser back from the provider."""
        query = dict(target.query)
        now = self._clock.now().timestamp()
        attempt = self._seal.open(cookies.read(request, cookies.LOGIN), now=now)
        try:
            self._fits(attempt, query)
            assert attempt is not None  # noqa: S101 - what `_fits` has seen to
            person = await self._provider.finish(query["code"], attempt)
            return await self._logged_in(request, person, onward=attempt.onward)
        except TokenError as error:
            sentence = f"{error.sentence} {_AGAIN}"
            refused = Refused(rule=error.rule, status=403, sentence=sentence)
        except (ProviderAwayError, StateError, LedgerError, OSError) as error:
            _log.error("%s", error)
            refused = _away()
        answer = self._refused(request, refused)
        cookies.take(answer, cookies.LOGIN)
        return answer

    def _fits(self, attempt: Attempt | None, query: dict[str, str]) -> None:
        """Raise TokenError unless this is the one answer to a login that this browser began."""
        if attempt is None or query.get("state", "") != attempt.state:
            raise TokenError("login_is_anothers", "This login was not begun in this browser.")
        if attempt.state in self._used:
            raise TokenError("login_is_used_up", "This login was finished before.")
        self._remember(attempt.state)
        if "error" in query or not query.get("code"):
            raise TokenError("login_was_refused", "The identity provider did not log you in.")
        if query.get("iss", self._provider.issuer) != self._provider.issuer:
            raise TokenError("issuer_is_another", "Another identity provider answered.")

    async def _logged_in(
        self, request: web.BaseRequest, person: Person, *, onward: str
    ) -> web.StreamResponse:
        # A login that is begun in the same browser takes the place of the one before.
        before = self._sessions.session(cookies.read(request, cookies.PORTAL))
        secret, session = await self._sessions.begin(person.subject, provider=person.session)
        try:
            await self._journal.write(
                Activity.LOGIN_ADMITTED,
                subject=person.subject,
                session=short(session.name),
                acr=person.acr,
            )
        except LedgerError:
            await self._control.end([session], reason="login_is_not_recorded")
            raise
        ending = [*([before] if before else []), *self._sessions.surplus(person.subject)]
        await self._control.end(ending, reason="login_was_replaced")
        answer = answers.redirect(f"{self._front.portal}{onward}")
        seconds = int(session.expires - self._clock.now().timestamp())
        cookies.give(answer, cookies.PORTAL, secret, seconds=seconds, strict=False)
        cookies.take(answer, cookies.LOGIN)
        return answer

    async def leave(self, request: web.BaseRequest) -> web.StreamResponse:
        """Log out here and at the provider."""
        session = self._sessions.session(cookies.read(request, cookies.PORTAL))
        if session is not None:
            await self._control.end([session], reason="logged_out")
        # The provider knows one address to come back to, letter by letter: the portal's.
        there = await self._provider.logout_address(back=f"{self._front.portal}/")
        answer = answers.redirect(there or f"{self._front.portal}/logged-out")
        cookies.take(answer, cookies.PORTAL)
        return answer

    def left(self) -> web.StreamResponse:
        """Return the page after logging out."""
        return answers.page(left_page(onward="/"))

    async def ended_elsewhere(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take a back-channel logout of the provider."""
        try:
            form = await _form(request)
            ended, name = await self._provider.ended(form.get("logout_token", ""))
            self._is_new(name)
            found = self._sessions.ended_by(subject=ended.subject, provider=ended.session)
            await self._control.end(found, reason="ended_by_provider")
            # Only what was done to its end is used up: a logout that failed half-way is repeated.
            self._remember(f"jti {name}")
        except TokenError as error:
            refused = Refused(rule=error.rule, status=400, sentence=error.sentence)
            return self._refused(request, refused)
        except (ProviderAwayError, StateError) as error:
            _log.error("%s", error)
            return self._refused(request, _away())
        return answers.data("{}")

    def _is_new(self, name: str) -> None:
        if f"jti {name}" in self._used:
            raise TokenError("token_is_used_up", "This logout was taken before.")

    def _remember(self, name: str) -> None:
        self._used[name] = None
        while len(self._used) > _MOST_REMEMBERED:
            self._used.popitem(last=False)

    def _refused(self, request: web.BaseRequest, refused: Refused) -> web.Response:
        self._journal.refused(refused, method=request.method, activity=Activity.LOGIN_REFUSED)
        return answers.refusal(refused, request, home="/")


async def _form(request: web.BaseRequest) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise TokenError("form_is_missing", "A logout token comes as a form.")
    try:
        async with asyncio.timeout(FORM_SECONDS):
            body = await _bounded(request)
    except TimeoutError as error:
        raise TokenError("form_is_missing", "The form did not come.") from error
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=8, strict_parsing=True)
    except ValueError as error:
        raise TokenError("form_is_malformed", "This is no form.") from error
    if len({name for name, _ in pairs}) != len(pairs):
        raise TokenError("form_is_malformed", "A field is given twice.")
    return dict(pairs)


async def _bounded(request: web.BaseRequest) -> bytes:
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > _LARGEST_FORM:
            raise TokenError("form_is_too_large", "A logout token is smaller than this.")
    return bytes(body)


def login_path(onward: str) -> str:
    """Return the path that logs in and comes back to `onward`."""
    return f"/login?{urlencode({'next': onward})}"


def _away() -> Refused:
    return Refused(
        rule="login_does_not_go",
        status=503,
        sentence="The login does not go now.",
        todo="Try again in a minute; if it lasts, tell the administrator.",
    )
