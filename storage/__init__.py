"""Matrices on disk: open an input, read a slice, write a result so that it is whole or absent.

    address, folder          where an array is; its files, on this host or below a URL (objects, objects_client, objects_errors)
    formats -> matrix        what is stored, as one small value      npy, sparse_npz, zarr_header -> zarr_thin | zarr_python
    cached                   how much of it is in the page cache now
    occupancy                which parts are stored at all           absent (Zarr), npz_survey (scipy) -> npz_vector -> zip_member
    grid, buffers, files     geometry of chunks, reused memory, reads into place
    chain, compressors, codecs      decoding any common chain; compressing; the table of compressions for results
    shard                    many chunks in one file
    settled, sums            what the first worker decides for all, such as the codec; partial sums until their tile is finished
    site                            the same words for a result on a disk and on an object store: site_local, site_objects
    location                        whether two places are one
    place -> output -> staging -> write -> publish     may it be written, what, where, block by block, made visible
    lease, journal, salvage  who writes, which chunks are durable, what a later run can trust
    record, manifest         what every stored byte must be
    result, assess, scrub, repair, export    a published result, opened, its metadata judged, checked, mended, unsealed
    object_output, object_lease, object_journal        the same for a result on an object store
    stale                    unfinished runs that nobody goes on with
    sync                     whole files and synced folders
    keys, envelope -> cipher -> seal -> object_files, sealed    keys by name, sealed files, what travels, any object, a source
    errors                   one line each, with what to change

This package knows slices, never tiles, and is the only one that knows Zarr.
"""

from storage.address import absolute, expanded, is_url
from storage.assess import Damage
from storage.behind import WriteBehind, waiting_bytes
from storage.beside import leftovers, sweep
from storage.buffers import held_bytes
from storage.cached import Cached, cached
from storage.codecs import CODECS, DEFAULT_CODEC, GOALS, Codec, automatic_codecs, resolve_codec
from storage.errors import BadInput, CorruptData, DiskFull, GemmflowError, Refused, TakenOver, Unreachable
from storage.formats import FORMATS, Format, occupied, open_matrix
from storage.journal import Journal, JournalScan, read_journal, scan_journal
from storage.keys import check_key_id
from storage.lease import Lease, require_free
from storage.location import Location, locate
from storage.matrix import Block, Matrix, Source
from storage.occupancy import LineBytes, Occupancy
from storage.output import OutputSpec, default_chunks
from storage.place import check_out, check_space
from storage.publish import certify, publish, set_attributes
from storage.record import ChunkRecord
from storage.result import Result, open_result, read_certificate
from storage.salvage import salvage
from storage.scrub import scrub
from storage.seal import Seal, create_seal, find_seal, read_seal, require_key, rewrap, write_seal
from storage.settled import Decision, declare_codec, read_settled, settle
from storage.site import AnyFound, AnyLease, AnyStaging, Hold, Left, OpenJournal, hold_of, read_token, site_of
from storage.staging import Found, Staging, Start, create_staging, discard, find_staging, is_published, take_over, taken_over
from storage.stale import idle_seconds, unfinished_in
from storage.stamp import contents_stamp
from storage.sums import pack_numbers, unpack_numbers
from storage.sync import replace_file, write_atomically
from storage.unfinished import preload
from storage.write import WriteResult, chunk_buffer_bytes, encoded_bytes, write_block

__all__ = [
    "CODECS",
    "DEFAULT_CODEC",
    "FORMATS",
    "GOALS",
    "AnyFound",
    "AnyLease",
    "AnyStaging",
    "BadInput",
    "Block",
    "Cached",
    "ChunkRecord",
    "Codec",
    "CorruptData",
    "Damage",
    "Decision",
    "DiskFull",
    "Format",
    "Found",
    "GemmflowError",
    "Hold",
    "Journal",
    "JournalScan",
    "Lease",
    "Left",
    "LineBytes",
    "Location",
    "Matrix",
    "Occupancy",
    "OpenJournal",
    "OutputSpec",
    "Refused",
    "Result",
    "Seal",
    "Source",
    "Staging",
    "Start",
    "TakenOver",
    "Unreachable",
    "WriteBehind",
    "WriteResult",
    "absolute",
    "automatic_codecs",
    "cached",
    "certify",
    "check_key_id",
    "check_out",
    "check_space",
    "chunk_buffer_bytes",
    "contents_stamp",
    "create_seal",
    "create_staging",
    "declare_codec",
    "default_chunks",
    "discard",
    "encoded_bytes",
    "expanded",
    "find_seal",
    "find_staging",
    "held_bytes",
    "hold_of",
    "idle_seconds",
    "is_published",
    "is_url",
    "leftovers",
    "locate",
    "occupied",
    "open_matrix",
    "open_result",
    "pack_numbers",
    "preload",
    "publish",
    "read_certificate",
    "read_journal",
    "read_seal",
    "read_settled",
    "read_token",
    "replace_file",
    "require_free",
    "require_key",
    "resolve_codec",
    "rewrap",
    "salvage",
    "scan_journal",
    "scrub",
    "set_attributes",
    "settle",
    "site_of",
    "sweep",
    "take_over",
    "taken_over",
    "unfinished_in",
    "unpack_numbers",
    "waiting_bytes",
    "write_atomically",
    "write_block",
    "write_seal",
]
