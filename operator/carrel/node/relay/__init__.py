"""The services that a workspace finds on its loopback address: names, packages, and answers."""
