"""Starts the kernel gateway, which starts kernels."""

# ruff: noqa: E402 - what must not be imported is said before anything is
import sys

# Jupyter's schemas name no IRI, and the grammar for checking them takes half the time of a start.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] - how Python spells: not there

from kernel_gateway import launch_instance

if __name__ == "__main__":
    launch_instance()
