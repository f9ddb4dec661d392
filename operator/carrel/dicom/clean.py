"""The reference cleaner: makes published sample images fit for demonstrations and tests.

It keeps a short list of elements that describe pixels, geometry and acquisition, and drops
everything else, at every depth. That is stricter than the Basic Application Confidentiality
Profile (PS3.15 annex E), whose table lists what to drop, and loses more than research wants.
It looks at no pixel: burned-in text stays. It is no anonymisation product.
"""

import hashlib
import hmac

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

METHOD = "Carrel reference cleaner 1: kept pixels, geometry, acquisition"
_STANDARD = "1.2.840.10008."

_KEPT = frozenset(
    """
    SpecificCharacterSet ImageType SOPClassUID SOPInstanceUID Modality ConversionType
    StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID SeriesNumber AcquisitionNumber
    InstanceNumber TemporalPositionIdentifier NumberOfTemporalPositions
    PatientSex PatientPosition BodyPartExamined Laterality ImageLaterality Manufacturer
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


def clean(image: FileDataset, *, key: bytes) -> FileDataset:
    """Return a cleaned copy; pixels are taken over as they are.

    Args:
        image: A whole data set with its file meta information. It needs a study, series and
            instance UID.
        key: Secret that pseudonyms and UIDs are derived with: the same key gives the same ones,
            so that files of one study stay together.

    """
    body = _kept(image, key=key)
    for keyword in _PRESENT_BUT_EMPTY:
        if keyword not in body:
            setattr(body, keyword, None)
    body.PatientID = pseudonym(str(image.get("PatientID", "")), key=key)
    body.PatientIdentityRemoved = "YES"
    body.DeidentificationMethod = METHOD
    body.LongitudinalTemporalInformationModified = "REMOVED"
    body.DeidentificationMethodCodeSequence = Sequence([_basic_profile()])
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = body.SOPClassUID
    meta.MediaStorageSOPInstanceUID = body.SOPInstanceUID
    meta.TransferSyntaxUID = image.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = UID("2.25.304512017725136412306512387512908")
    return FileDataset("", body, preamble=b"\0" * 128, file_meta=meta)


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


def _basic_profile() -> Dataset:
    code = Dataset()
    code.CodeValue = "113100"
    code.CodingSchemeDesignator = "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    return code
