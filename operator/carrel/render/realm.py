"""The realm of the demo's identity provider, as Keycloak imports it.

Only what differs from Keycloak's own defaults is said, and what must not follow them when they
change. Roles of Carrel are bound in Kubernetes and people are named by grants, so no token of
this realm carries a role.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["REALM", "Client", "RealmAddresses", "RealmPerson", "realm"]

REALM = "carrel"
"""Name of the realm; the issuer is `<origin of the provider>/realms/carrel`."""

_LOOPBACK = "http://127.0.0.1/callback"
"""Of programs on a person's own machine; any port counts as this one (RFC 8252, 7.3)."""
_TOKEN_SECONDS = 120
_IDLE_SECONDS = 1_800
_LONGEST_SECONDS = 36_000
_LOGIN_SECONDS = 600


class Client(StrEnum):
    """The clients that hold a secret, by its key in the Secret of all of them."""

    GATEWAY = "gateway"
    """The front door."""
    HUB = "hub"
    """JupyterHub."""
    CONTROL = "control"
    """Whoever asks whether people are still active, and ends their sessions."""

    @property
    def client_id(self) -> str:
        """The client's name in the realm."""
        return f"carrel-{self.value}"


@dataclass(frozen=True, kw_only=True)
class RealmAddresses:
    """Where the realm's clients are; origins as browsers write them, without a slash."""

    portal: str
    """Origin of the portal, such as `https://carrel.localhost:8443`."""
    hub: str
    """Origin of the Hub."""
    gateway: str
    """Origin of the gateway's Service inside the cluster, told of every logout."""


@dataclass(frozen=True, kw_only=True)
class RealmPerson:
    """Somebody who can log in."""

    username: str
    """What the person types."""
    subject: str
    """The `sub` in tokens, which grants name; at most 36 characters."""
    password: str
    """The first password; a person who changes it keeps the new one."""
    administers: bool = False
    """Whether the person may disable others and end their sessions."""


def realm(
    addresses: RealmAddresses, *, secrets: Mapping[Client, str], people: Sequence[RealmPerson]
) -> dict[str, Any]:
    """Return the realm as a RealmRepresentation of Keycloak's Admin REST API."""
    return {
        "realm": REALM,
        "enabled": True,
        "displayName": "Carrel",
        "sslRequired": "all",
        "registrationAllowed": False,
        "resetPasswordAllowed": False,
        "rememberMe": False,
        "loginWithEmailAllowed": False,
        **_brute_force(),
        **_lifetimes(),
        **_events(),
        "clients": _clients(addresses, secrets=secrets),
        "users": [*(_person(each) for each in people), _control_account()],
    }


def _brute_force() -> dict[str, Any]:
    return {
        "bruteForceProtected": True,
        # Locked for good, anybody could keep a person out by guessing.
        "permanentLockout": False,
        "failureFactor": 10,
        "waitIncrementSeconds": 60,
        "maxFailureWaitSeconds": 900,
        "passwordPolicy": "length(12) and notUsername",
    }


def _lifetimes() -> dict[str, Any]:
    return {
        # What was verified offline stays good for so long after a logout.
        "accessTokenLifespan": _TOKEN_SECONDS,
        "accessCodeLifespan": 60,
        "accessCodeLifespanLogin": _LOGIN_SECONDS,
        "ssoSessionIdleTimeout": _IDLE_SECONDS,
        "ssoSessionMaxLifespan": _LONGEST_SECONDS,
    }


def _events() -> dict[str, Any]:
    return {
        "eventsEnabled": True,
        "eventsExpiration": 604_800,
        "adminEventsEnabled": True,
        "adminEventsDetailsEnabled": True,
    }


def _clients(addresses: RealmAddresses, *, secrets: Mapping[Client, str]) -> list[dict[str, Any]]:
    return [
        _confidential(Client.GATEWAY, secrets, redirect=f"{addresses.portal}/login/callback")
        | {
            "attributes": {
                **_PKCE,
                "backchannel.logout.url": f"{addresses.gateway}/backchannel-logout",
                "backchannel.logout.session.required": "true",
                "post.logout.redirect.uris": f"{addresses.portal}/",
            }
        },
        _confidential(Client.HUB, secrets, redirect=f"{addresses.hub}/hub/oauth_callback"),
        _account(Client.CONTROL, secrets),
        _public("carrel-approvals", (f"{addresses.portal}/approve/callback", _LOOPBACK)),
        _public("carrel-kubectl", (_LOOPBACK,)),
    ]


_PKCE = {"pkce.code.challenge.method": "S256"}


def _base(client_id: str) -> dict[str, Any]:
    return {
        "clientId": client_id,
        "protocol": "openid-connect",
        "enabled": True,
        "publicClient": False,
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        # Passwords are typed at the identity provider and nowhere else.
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": False,
        "fullScopeAllowed": False,
        "redirectUris": [],
        "webOrigins": [],
        "defaultClientScopes": ["acr", "basic", "email", "profile"],
        # Without `offline_access`: its tokens outlive every session.
        "optionalClientScopes": [],
        "attributes": {},
    }


def _confidential(
    client: Client, secrets: Mapping[Client, str], *, redirect: str
) -> dict[str, Any]:
    return _base(client.client_id) | {
        "secret": secrets[client],
        "standardFlowEnabled": True,
        "redirectUris": [redirect],
        "attributes": _PKCE,
        "protocolMappers": [_audience(client)],
    }


def _audience(client: Client) -> dict[str, Any]:
    """Name the client in its own tokens: to others, introspection says that none is active."""
    return {
        "name": f"audience-{client.value}",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {
            "included.client.audience": client.client_id,
            "id.token.claim": "false",
            "access.token.claim": "true",
            "introspection.token.claim": "true",
        },
    }


def _account(client: Client, secrets: Mapping[Client, str]) -> dict[str, Any]:
    return _base(client.client_id) | {
        "secret": secrets[client],
        "serviceAccountsEnabled": True,
        "fullScopeAllowed": True,
        # The roles of its account reach its tokens by this scope.
        "defaultClientScopes": ["basic", "roles"],
    }


def _public(client_id: str, redirects: Sequence[str]) -> dict[str, Any]:
    return _base(client_id) | {
        "publicClient": True,
        "standardFlowEnabled": True,
        "redirectUris": list(redirects),
        "attributes": _PKCE,
    }


def _person(person: RealmPerson) -> dict[str, Any]:
    # Without a name and an address, Keycloak asks for them at the first login.
    return {
        "id": person.subject,
        "username": person.username,
        "enabled": True,
        "firstName": "Demo",
        "lastName": person.username,
        "email": f"{person.username}@carrel.invalid",
        "emailVerified": True,
        "credentials": [{"type": "password", "value": person.password, "temporary": False}],
        "clientRoles": {"realm-management": list(_OVERSIGHT)} if person.administers else {},
    }


_OVERSIGHT = ("manage-users", "query-users", "view-users")
"""What it takes to see, disable and log out people; `manage-users` is the least that can."""


def _control_account() -> dict[str, Any]:
    return {
        "username": f"service-account-{Client.CONTROL.client_id}",
        "enabled": True,
        "serviceAccountClientId": Client.CONTROL.client_id,
        "clientRoles": {"realm-management": list(_OVERSIGHT)},
    }
