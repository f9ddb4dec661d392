"""A small CT image as bytes; each test writes into it what it is about."""

import io

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)


def bare_image(syntax: str = ExplicitVRLittleEndian) -> FileDataset:
    """Return a 2 x 2 image of 16 bits with its identifiers and nothing else about anybody."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("2.25.4")
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    body = FileDataset(
        "",
        Dataset(),
        preamble=b"\0" * 128,
        file_meta=meta,
        is_implicit_VR=syntax == ImplicitVRLittleEndian,
        is_little_endian=syntax != ExplicitVRBigEndian,
    )
    body.SOPClassUID, body.SOPInstanceUID = CTImageStorage, "2.25.4"
    body.StudyInstanceUID, body.SeriesInstanceUID = "2.25.2", "2.25.3"
    body.Modality, body.PatientID = "CT", "SUBJ-1"
    body.InstanceNumber, body.Rows, body.Columns = 7, 2, 2
    body.BitsAllocated = body.BitsStored = 16
    body.HighBit, body.PixelRepresentation, body.SamplesPerPixel = 15, 0, 1
    body.PixelData = b"\1\2\3\4\5\6\7\x08"
    return body


def written(body: FileDataset) -> bytes:
    """Return an image as a file's content."""
    data = io.BytesIO()
    body.save_as(data, enforce_file_format=True)
    return data.getvalue()
