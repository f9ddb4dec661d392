"""The reference cleaner: makes published sample images fit for demonstrations and tests.

It keeps a short list of elements that describe pixels, geometry and acquisition, and drops
everything else, at every depth. That is stricter than the Basic Application Confidentiality
Profile (PS3.15 annex E), whose table lists what to drop, and loses more than research wants.
It looks at no pixel: images of kinds that often show text become black. It is no
anonymisation product.
"""

import hashlib
import hmac

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from carrel.dicom.file_rules import BODY_PART, CONVERSION, IMAGE_TYPE, is_class_taken, shows_text

METHOD = "Carrel reference cleaner 1: kept pixels, geometry, acquisition"
_STANDARD = "1.2.840.10008."

_KEPT = frozenset(
    """
    SpecificCharacterSet ImageType SOPClassUID SOPInstanceUID Modality ConversionType
    StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID SeriesNumber AcquisitionNumber
    InstanceNumber TemporalPositionIdentifier NumberOfTemporalPositions
    PatientPosition BodyPartExamined Laterality ImageLaterality Manufacturer
    SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns
    PixelAspectRatio BitsAllocated BitsStored HighBit PixelRepresentation
    SmallestImagePixelValue LargestImagePixelValue PixelPaddingValue PixelPaddingRangeLimit
    RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor
    BluePaletteColorLookupTableDescriptor RedPaletteColorLookupTableData
    GreenPaletteColorLookupTableData BluePaletteColorLookupTableData
    RescaleIntercept RescaleSlope RescaleType WindowCenter WindowWidth VOILUTFunction
    PresentationLUTShape LossyImageCompression LossyImageCompressionRatio
    LossyImageCompressionMethod FrameIncrementPointer
    PixelSpacing SliceThickness SpacingBetweenSlices SliceLocation ImagePositionPatient
    ImageOrientationPatient PositionReferenceIndicator PatientOrientation
    KVP XRayTubeCurrent Exposure ExposureTime FilterType ConvolutionKernel GantryDetectorTilt
    TableHeight RotationDirection DataCollectionDiameter ReconstructionDiameter FocalSpots
    DistanceSourceToDetector DistanceSourceToPatient ScanOptions
    ScanningSequence SequenceVariant MRAcquisitionType RepetitionTime EchoTime InversionTime
    NumberOfAverages ImagingFrequency ImagedNucleus EchoNumbers MagneticFieldStrength
    NumberOfPhaseEncodingSteps EchoTrainLength PercentSampling PercentPhaseFieldOfView
    PixelBandwidth AcquisitionMatrix InPlanePhaseEncodingDirection FlipAngle
    VariableFlipAngleFlag SAR dBdt TriggerTime
    PixelData FloatPixelData DoubleFloatPixelData ExtendedOffsetTable ExtendedOffsetTableLengths
    SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
    PixelMeasuresSequence PlanePositionSequence PlaneOrientationSequence
    PixelValueTransformationSequence FrameVOILUTSequence FrameContentSequence
    MRImageFrameTypeSequence CTImageFrameTypeSequence FrameType PixelPresentation
    VolumetricProperties VolumeBasedCalculationTechnique StackID InStackPositionNumber
    TemporalPositionIndex DimensionIndexValues DimensionOrganizationSequence
    DimensionOrganizationUID DimensionIndexSequence DimensionIndexPointer FunctionalGroupPointer
    """.split()  # noqa: SIM905 - a list of words reads better than 140 quoted ones
)
_UIDS = ("SOPClassUID", "SOPInstanceUID")
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_OTHER = "OT"
_IMPLICIT, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_PRESENT_BUT_EMPTY = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "SeriesNumber",
    "InstanceNumber",
)
"""Type 2 elements of the general modules (PS3.3 annex C): readers expect them."""


class CleaningError(ValueError):
    """The cleaner can make nothing of this object; the message says why, without values."""


def clean(image: FileDataset, *, key: bytes) -> FileDataset:
    """Return a cleaned copy; pixels are taken over as they are, or blackened as a whole.

    Args:
        image: A whole data set with its file meta information.
        key: Secret that pseudonyms and UIDs are derived with: the same key gives the same ones,
            so that files of one study stay together.

    Raises:
        CleaningError: for what is no instance of a class that the gate takes.

    """
    _require_instance(image)
    body = _kept(image, key=key)
    for keyword in _PRESENT_BUT_EMPTY:
        if keyword not in body:
            setattr(body, keyword, None)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        if not body.get(keyword):
            # Old images name neither: each becomes a study of its own.
            setattr(body, keyword, mapped_uid(f"{keyword} of {image.SOPInstanceUID}", key=key))
    body.Modality = str(image.get("Modality") or _OTHER)
    body.PatientID = pseudonym(str(image.get("PatientID", "")), key=key)
    body.PatientIdentityRemoved = "YES"
    body.DeidentificationMethod = METHOD
    body.LongitudinalTemporalInformationModified = "REMOVED"
    codes = [_code("113100", "Basic Application Confidentiality Profile")]
    syntax = image.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)
    big = syntax == _BIG
    if _shows_text(image):
        _blacken(body, image, big=big)
        # Fragments are gone with the pixels that they held.
        syntax = ExplicitVRLittleEndian if UID(syntax).is_encapsulated else syntax
        body.BurnedInAnnotation = "NO"
        codes.append(_code("113101", "Clean Pixel Data Option"))
    body.DeidentificationMethodCodeSequence = Sequence(codes)
    return FileDataset(
        "",
        body,
        preamble=b"\0" * 128,
        file_meta=_meta(body, syntax=UID(syntax)),
        is_implicit_VR=syntax == _IMPLICIT,
        is_little_endian=not big,
    )


def pseudonym(identifier: str, *, key: bytes) -> str:
    """Return the name that a person bears in the dataset: `SUBJ-` and eight hex digits."""
    return "SUBJ-" + _keyed(identifier, key=key)[:8]


def mapped_uid(uid: str, *, key: bytes) -> str:
    """Return a UID under 2.25 that stands for `uid`; UIDs of the standard stay."""
    if uid.startswith(_STANDARD):
        return uid
    return f"2.25.{int(_keyed(uid, key=key)[:32], 16)}"


def _kept(source: Dataset, *, key: bytes) -> Dataset:
    result = Dataset()
    for element in source:
        if element.keyword in _KEPT:
            result.add(_cleaned(element, key=key))
    return result


def _cleaned(element: DataElement, *, key: bytes) -> DataElement:
    match element.VR:
        case "SQ":
            items = Sequence([_kept(item, key=key) for item in element.value])
            return DataElement(element.tag, "SQ", items)
        case "UI" if element.value:
            if element.VM > 1:
                uids = [mapped_uid(str(uid), key=key) for uid in element.value]
                return DataElement(element.tag, "UI", uids)
            return DataElement(element.tag, "UI", mapped_uid(str(element.value), key=key))
        case _:
            return element


def _keyed(text: str, *, key: bytes) -> str:
    return hmac.new(
        key, text.strip().encode("utf-8", "surrogateescape"), hashlib.sha256
    ).hexdigest()


def _require_instance(image: FileDataset) -> None:
    missing = [keyword for keyword in _UIDS if not image.get(keyword)]
    if missing:
        raise CleaningError(f"it has no {' and no '.join(missing)}")
    has_pixels = any(keyword in image for keyword in _PIXELS)
    if not is_class_taken(str(image.SOPClassUID), has_pixels=has_pixels):
        raise CleaningError("its class is none that enters a dataset without pixels")


def _shows_text(image: Dataset) -> bool:
    facts = {
        tag: "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value or "")
        for tag in (IMAGE_TYPE, CONVERSION, BODY_PART)
        for value in [image[tag].value if tag in image else ""]
    }
    return any(keyword in image for keyword in _PIXELS) and shows_text(
        facts, modality=str(image.get("Modality") or _OTHER), sop_class=str(image.SOPClassUID)
    )


def _blacken(body: Dataset, image: Dataset, *, big: bool) -> None:
    """Put zeros where the pixels were, in the same size, uncompressed."""
    samples, frames = int(image.get("SamplesPerPixel", 1)), int(image.get("NumberOfFrames") or 1)
    bits = int(image.get("BitsAllocated", 8))
    count = int(image.Rows) * int(image.Columns) * samples * frames
    size = (count * bits + 7) // 8
    for keyword in (*_PIXELS, "ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in body:
            delattr(body, keyword)
    body.add_new(0x7FE00010, "OW" if bits > 8 or big else "OB", bytes(size + size % 2))
    if samples == 3:
        body.PhotometricInterpretation = "RGB"


def _meta(body: Dataset, *, syntax: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = body.SOPClassUID
    meta.MediaStorageSOPInstanceUID = body.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID("2.25.304512017725136412306512387512908")
    return meta


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = "DCM"
    code.CodeMeaning = meaning
    return code
