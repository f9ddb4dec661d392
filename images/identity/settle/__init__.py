"""The first container of the identity provider's pod: it makes the volume ready for Keycloak."""
