"""libnftables, called in the network namespace of the calling thread.

Starting nft as a program costs two processes a call; a start of a workspace needs six calls, and
on a busy node those processes were most of a second.
"""

import ctypes
import threading
from enum import IntFlag
from functools import cache

_NAME = "libnftables.so.1"


class NftError(Exception):
    """nft refused; the message is its own first line."""


class Output(IntFlag):
    """How a listing is written (`nftables/libnftables.h`)."""

    PLAIN = 0
    STATELESS = 1 << 2
    """Without counters and handles."""
    JSON = 1 << 4
    TERSE = 1 << 11
    """Without the elements of sets."""


# The library keeps a few tables of its own for all contexts and does not say that they are safe
# to share: one call at a time. Calls take about a millisecond.
_one_at_a_time = threading.Lock()


@cache
def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(_NAME)
    context, text = ctypes.c_void_p, ctypes.c_char_p
    library.nft_ctx_new.argtypes, library.nft_ctx_new.restype = [ctypes.c_uint32], context
    library.nft_ctx_free.argtypes, library.nft_ctx_free.restype = [context], None
    library.nft_run_cmd_from_buffer.argtypes = [context, text]
    library.nft_ctx_output_set_flags.argtypes = [context, ctypes.c_uint]
    library.nft_ctx_output_set_flags.restype = None
    for name in ("output", "error"):
        getattr(library, f"nft_ctx_buffer_{name}").argtypes = [context]
        getter = getattr(library, f"nft_ctx_get_{name}_buffer")
        getter.argtypes, getter.restype = [context], text
    return library


def call(command: str, *, output: Output = Output.PLAIN) -> str:
    """Run nft commands and return what they list. Raises NftError."""
    library = _loaded()
    with _one_at_a_time:
        # A context holds a socket of the namespace that it was made in: one for each call.
        context = library.nft_ctx_new(0)
        if not context:
            raise NftError("libnftables cannot open its socket")
        try:
            library.nft_ctx_buffer_output(context)
            library.nft_ctx_buffer_error(context)
            library.nft_ctx_output_set_flags(context, int(output))
            failed = library.nft_run_cmd_from_buffer(context, command.encode())
            said = library.nft_ctx_get_error_buffer(context) or b""
            listed = library.nft_ctx_get_output_buffer(context) or b""
        finally:
            library.nft_ctx_free(context)
    if failed:
        first = said.decode("utf-8", "replace").strip().partition("\n")[0]
        raise NftError(first or f"nft refused with {failed}")
    return str(listed.decode())


def _loaded() -> ctypes.CDLL:
    try:
        return _load()
    except OSError as error:
        raise NftError(f"{_NAME} is missing: install the package nftables ({error})") from error
