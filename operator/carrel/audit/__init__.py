"""What an auditor asks of the records: search, stories, reports and proofs.

Reads a copy of the central log or the chains of processes; writes nothing but its own index,
which is disposable and made anew from them.
"""
