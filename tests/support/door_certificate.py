"""A certificate that a workspace's server could have made; nobody holds its key."""

from datetime import UTC, datetime

from carrel.flows.certificates import make_authority

CERTIFICATE = make_authority(now=datetime(2026, 11, 1, tzinfo=UTC)).certificate.decode()
