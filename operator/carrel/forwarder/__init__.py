"""The sidecar that sends the chains of a folder to the central log."""
