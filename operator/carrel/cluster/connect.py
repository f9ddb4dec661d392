"""Opening the door: from a kubeconfig, or from inside a pod."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import getproxies

from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import load_incluster_config
from kubernetes.aio.config.kube_config import load_kube_config

from carrel.cluster.client import KubernetesCluster
from carrel.cluster.errors import ClusterError

USER_AGENT = "carrel"


@asynccontextmanager
async def connect(
    kubeconfig: Path | None = None, *, user_agent: str = USER_AGENT
) -> AsyncIterator[KubernetesCluster]:
    """Connect as the kubeconfig's current context, or as the pod's ServiceAccount when None.

    The pod's token is read again each minute, so a bound token that expires is no end.
    Raises ClusterError with a sentence where there is nothing to connect with.
    """
    # Proxy variables are for people's machines; inside a pod they would lead outside. Where
    # there are none, aiohttp is not told to look: it would ask a thread twice per request.
    by_proxy = kubeconfig is not None and "https" in getproxies()
    configuration = Configuration(
        client_session_kwargs={"trust_env": by_proxy},
        connection_pool_maxsize=64,
    )
    try:
        if kubeconfig is None:
            load_incluster_config(configuration)  # type: ignore[no-untyped-call]  # untyped library
        else:
            await load_kube_config(  # type: ignore[no-untyped-call]  # untyped library
                config_file=str(kubeconfig),
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, OSError) as error:
        where = kubeconfig or "this pod"
        msg = f"{error}; name a kubeconfig that exists with --kubeconfig or KUBECONFIG"
        raise ClusterError(msg, call=f"read credentials of {where}") from error
    api = ApiClient(configuration)
    api.user_agent = user_agent
    cluster = KubernetesCluster(api)
    try:
        yield cluster
    finally:
        await cluster.close()
