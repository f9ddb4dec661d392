"""The command line for administrators, data managers and people who try Carrel."""

__all__ = ["main"]

from carrel.cli.main import main
