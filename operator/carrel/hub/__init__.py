"""The Hub: JupyterHub with a login and a list of grants, and no right to make anything.

Servers of a person are the workspaces of that person's grants. Starting one sets
`spec.desired` of a Workspace; what runs, and where its pages come from, is for others.
"""
