"""Starts kernels for the notebook server, which is another user in another container."""

# ruff: noqa: F821, INP001 - traitlets loads this file, which is no module, and gives it `c`
import os
from typing import Any

from kernel_gateway.services.kernels.manager import SeedingMappingKernelManager


class NotebookFolderKernels(SeedingMappingKernelManager):
    """Kernels that start where their notebook lies; the gateway would start all in one folder."""

    async def start_kernel(self, *args: Any, **kwargs: Any) -> str:
        """Start a kernel; where the named folder is not there, in the home."""
        wanted = (kwargs.get("env") or {}).get("KERNEL_WORKING_DIR")
        if wanted and os.path.isdir(wanted):  # noqa: ASYNC240, PTH112 - one look at a local disk
            kwargs["cwd"] = wanted
        return await super().start_kernel(*args, **kwargs)


c.KernelGatewayApp.ip = "127.0.0.1"
c.KernelGatewayApp.port = 8889
c.KernelGatewayApp.port_retries = 0
c.KernelGatewayApp.kernel_manager_class = NotebookFolderKernels
c.JupyterWebsocketPersonality.list_kernels = True
# The channels of a kernel are sockets in the runtime folder (0700), not ports of the pod.
c.KernelManager.transport = "ipc"
