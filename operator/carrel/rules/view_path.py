"""Where an instance stands in a dataset view: safe path components, one to one."""


def view_path(*, subject: str, study: str, series: str, instance: str) -> str:
    """Return `subject/study/series/instance.dcm` with components that no file system misreads."""
    raise NotImplementedError
