"""Who somebody is: what the one issuer calls the person, letter by letter."""

from oauthenticator.generic import GenericOAuthenticator
from typing_extensions import override


class PersonAuthenticator(GenericOAuthenticator):  # type: ignore[misc]  # no type information
    """OpenID Connect as the gateway does it: people are their `sub`.

    JupyterHub writes names in small letters; two subjects may differ in nothing else
    (OpenID Connect Core 1.0, section 2), and a grant names one of them.
    """

    @override
    def normalize_username(self, username: str) -> str:
        """Return the subject as it is."""
        return username
