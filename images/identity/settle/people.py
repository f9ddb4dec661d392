"""Which people a renewed realm has: those whom the old one knew, as the old one knew them."""

from typing import Any

Realm = dict[str, Any]


def merged(old: Realm, new: Realm) -> Realm:
    """Return `new` with the people of `old`: whoever was disabled stays so, and passwords stay.

    Accounts of services are part of the realm's description and come from `new`.
    """
    known = {user["id"]: user for user in old.get("users", ()) if not _is_service(user)}
    described = new.get("users", ())
    added = [user for user in described if _is_service(user) or user.get("id") not in known]
    return {**new, "users": [*known.values(), *added]}


def _is_service(user: Realm) -> bool:
    return "serviceAccountClientId" in user
