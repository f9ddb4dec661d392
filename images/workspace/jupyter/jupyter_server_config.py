"""The notebook server of a workspace: one caller, no kernel, nothing that phones home."""

# ruff: noqa: F821, INP001 - traitlets loads this file, which is no module, and gives it `c`
c.ServerApp.ip = "*"
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.base_url = "/"
c.ServerApp.default_url = "/lab"
c.ServerApp.root_dir = "/home/carrel"
c.ServerApp.quit_button = False
c.ServerApp.terminals_enabled = False
c.ServerApp.jpserver_extensions = {
    "jupyter_lsp": False,
    "jupyter_server_terminals": False,
    "notebook_shim": False,
    "jupyterlab": True,
}
# Callers are known by their certificate (serve.py). It is the gateway that looks at Origin; a token
# or cookie of this server would reach the researcher's page.
c.ServerApp.identity_provider_class = "__main__.GatewayIdentity"
c.ServerApp.allow_unauthenticated_access = False
c.ServerApp.disable_check_xsrf = True
c.ServerApp.allow_remote_access = True
# No link in the home is followed.
c.ServerApp.contents_manager_class = "notebook_server.contents.HomeContents"
c.ContentsManager.root_dir = "/home/carrel"
# Kernels are another user's processes, in a container of their own.
c.GatewayClient.url = "http://127.0.0.1:8889"
c.GatewayClient.request_timeout = 60
# What the server writes for itself goes with the pod: in the home, kernel code could change it.
c.LabApp.user_settings_dir = "/run/server/settings"
c.LabApp.workspaces_dir = "/run/server/workspaces"
c.NotebookNotary.db_file = ":memory:"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
