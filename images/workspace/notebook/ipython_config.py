"""What every notebook and IPython shell of a workspace loads."""

# ruff: noqa: F821, INP001 - traitlets loads this file, which is no module, and gives it `c`
c.InteractiveShellApp.extensions = ["carrel"]
