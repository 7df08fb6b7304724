"""Matrices on disk: open an input, read a slice, write a result so that it is whole or absent.

    address, folder          where an array is; its files, on this host or below a URL (objects, objects_client, objects_errors)
    formats -> matrix        what is stored, as one small value      npy, zarr_header -> zarr_thin | zarr_python
    grid, buffers, files     geometry of chunks, reused memory, reads into place
    chain, codecs            decoding any common chain; the table of compressions for results
    place -> output -> write -> publish -> result      may it be written, where, block by block, made visible, checked
    journal, sync            records of what is durable; whole files and synced folders
    errors                   one line each, with what to change

This package knows slices, never tiles, and is the only one that knows Zarr.
"""

from storage.address import absolute, is_url
from storage.buffers import held_bytes
from storage.codecs import CODECS, DEFAULT_CODEC, Codec, resolve_codec
from storage.errors import BadInput, CorruptData, DiskFull, GemmflowError, Refused, Unreachable
from storage.formats import FORMATS, Format, open_matrix
from storage.journal import Journal, JournalScan, read_journal, scan_journal
from storage.matrix import Block, Matrix, Source
from storage.output import OutputSpec, Staging, create_staging, default_chunks, preload, staging_folders
from storage.place import check_out, check_space
from storage.publish import discard, publish, set_attributes
from storage.result import read_certificate, verify_storage
from storage.sync import replace_file, write_atomically
from storage.write import ChunkRecord, WriteResult, chunk_buffer_bytes, write_block

__all__ = [
    "CODECS",
    "DEFAULT_CODEC",
    "FORMATS",
    "BadInput",
    "Block",
    "ChunkRecord",
    "Codec",
    "CorruptData",
    "DiskFull",
    "Format",
    "GemmflowError",
    "Journal",
    "JournalScan",
    "Matrix",
    "OutputSpec",
    "Refused",
    "Source",
    "Staging",
    "Unreachable",
    "WriteResult",
    "absolute",
    "check_out",
    "check_space",
    "chunk_buffer_bytes",
    "create_staging",
    "default_chunks",
    "discard",
    "held_bytes",
    "is_url",
    "open_matrix",
    "preload",
    "publish",
    "read_certificate",
    "read_journal",
    "replace_file",
    "resolve_codec",
    "scan_journal",
    "set_attributes",
    "staging_folders",
    "verify_storage",
    "write_atomically",
    "write_block",
]
