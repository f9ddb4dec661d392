"""The operator process: Kopf watches and parses, a work queue calls one flow per object."""
