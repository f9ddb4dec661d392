"""The ingest service and the ingest job: the one door by which images become a Dataset."""
