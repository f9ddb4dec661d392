"""Forwards the API server's audit log into the ledger: who changed what governs access."""
