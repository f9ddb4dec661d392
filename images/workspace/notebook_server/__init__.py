"""The notebook server of a workspace: reached by the gateway alone, runs no code of its user."""
