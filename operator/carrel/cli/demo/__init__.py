"""`carrel demo`: from nothing to a locked notebook on real images, told stage by stage."""

from carrel.cli.demo.command import demo

__all__ = ["demo"]
