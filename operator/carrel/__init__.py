"""Carrel: a secure research environment for medical imaging data on Kubernetes.

The floors below import downwards only; pyproject.toml holds the law and import-linter keeps it.
"""
