"""Reading DICOM files: one pass per file, headers never trusted, errors as values."""
