"""JupyterHub's configuration, whole: nothing is read from files or the environment beside it."""

from urllib.parse import urlencode

from traitlets.config import Config

from carrel.hub.authenticator import PersonAuthenticator
from carrel.hub.provider import Provider
from carrel.hub.proxy import FrontDoorProxy
from carrel.hub.settings import HubSettings
from carrel.hub.spawner import GrantSpawner

USER_SCOPES = (
    "read:users:name!user",
    "read:servers!user",
    "start:servers!user",
    "delete:servers!user",
    "access:servers!user",
)
"""What a person may do at the Hub. Without `tokens`: a token would outlive its login."""

_START_SECONDS = 1_800
_STOP_SECONDS = 120


def configuration(
    settings: HubSettings,
    provider: Provider,
    *,
    spawner: type[GrantSpawner],
    client_secret: str,
    crypt_key: bytes,
) -> Config:
    """Return everything that JupyterHub is told."""
    config = Config()
    _hub(config, settings)
    _login(config, settings, provider, client_secret=client_secret, crypt_key=crypt_key)
    config.JupyterHub.spawner_class = spawner
    config.JupyterHub.proxy_class = FrontDoorProxy
    config.JupyterHub.authenticator_class = PersonAuthenticator
    return config


def _hub(config: Config, settings: HubSettings) -> None:
    hub = config.JupyterHub
    hub.bind_url = hub.public_url = f"{settings.hub_origin}/"
    hub.hub_bind_url = f"http://127.0.0.1:{settings.hub_loopback_port}"
    hub.hub_routespec = "/hub/"
    hub.db_url = f"sqlite:///{settings.state_dir}/jupyterhub.sqlite"
    hub.cookie_secret_file = str(settings.state_dir / "cookie_secret")
    hub.cookie_host_prefix_enabled = True
    hub.cookie_max_age_days = 0.5
    hub.allow_named_servers = True
    # What runs goes on while the Hub starts anew, and a login is not a wish to start.
    hub.cleanup_servers = False
    hub.redirect_to_server = False
    hub.shutdown_on_logout = False
    # The default role reaches further; this is all that a person gets.
    hub.load_roles = [
        {"name": "user", "scopes": list(USER_SCOPES)},
        {"name": "server", "scopes": ["users:activity!user"]},
    ]
    hub.oauth_require_pkce = True
    hub.authenticate_prometheus = True
    # The page of a start that takes minutes is shown at once.
    hub.tornado_settings = {"slow_spawn_timeout": 0, "slow_stop_timeout": 0}
    config.Spawner.server_token_scopes = ["users:activity!user"]
    config.Spawner.start_timeout = _START_SECONDS
    config.Spawner.http_timeout = _STOP_SECONDS
    config.Spawner.poll_interval = 15


def _login(
    config: Config,
    settings: HubSettings,
    provider: Provider,
    *,
    client_secret: str,
    crypt_key: bytes,
) -> None:
    person = config.PersonAuthenticator
    person.client_id, person.client_secret = settings.oidc_client_id, client_secret
    person.oauth_callback_url = f"{settings.hub_origin}/hub/oauth_callback"
    person.authorize_url = provider.authorization_endpoint
    person.token_url = provider.token_endpoint
    person.userdata_url = provider.userinfo_endpoint
    person.username_claim = "sub"
    person.scope = ["openid"]
    person.enable_pkce = True
    person.validate_server_cert = True
    person.http_request_kwargs = {"ca_certs": str(settings.authorities)}
    # Anybody of the issuer may see this page; grants decide what it opens.
    person.allow_all = True
    person.auto_login = True
    if provider.end_session_endpoint:
        person.logout_redirect_url = _logout(settings, provider)
    # A person who was disabled opens nothing more after this time, also not by a request of
    # a program; 0 would turn the question off.
    person.auth_refresh_age = settings.refresh_seconds
    person.auth_refresh_strict = True
    person.refresh_pre_spawn = True
    person.enable_auth_state = True
    config.CryptKeeper.keys = [crypt_key]


def _logout(settings: HubSettings, provider: Provider) -> str:
    query = urlencode(
        {
            "client_id": settings.oidc_client_id,
            "post_logout_redirect_uri": f"{settings.portal_origin}/",
        }
    )
    return f"{provider.end_session_endpoint}?{query}"
