"""The site's package mirror: the one pod of the platform with a way to an index outside.

It answers node agents only, knows no person, sends no name upstream that no administrator
listed in an `EgressPolicy`, and fetches each file once for the whole site.
"""
