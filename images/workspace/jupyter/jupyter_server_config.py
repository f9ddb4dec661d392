"""The notebook server of a workspace: one user, no way out, nothing that phones home."""

# ruff: noqa: F821, INP001 - traitlets loads this file, which is no module, and gives it `c`
c.ServerApp.ip = "0.0.0.0"  # noqa: S104 - the pod's own network namespace, which the lock guards
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.root_dir = "/home/carrel"
c.ServerApp.quit_button = False
c.ServerApp.terminals_enabled = False
c.ServerApp.jpserver_extensions = {
    "jupyter_lsp": False,
    "jupyter_server_terminals": False,
    "jupyterlab": True,
}
# The channels of a kernel are sockets in the runtime folder (0700), not ports of the pod.
c.KernelManager.transport = "ipc"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
# A trash folder would keep what a researcher deleted, inside the quota of the home.
c.FileContentsManager.delete_to_trash = False
