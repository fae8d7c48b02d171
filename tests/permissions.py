"""Permissions that hold: root may write everywhere, and tests in containers are often root's."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def closed(*folders: Path) -> Iterator[None]:
    """Within this block, this thread may not write in these folders, whoever runs the tests."""
    library, header, sets = ctypes.CDLL(None, use_errno=True), _Header(_VERSION_3, 0), (_Sets * 2)()
    modes = {folder: folder.stat().st_mode for folder in folders}
    for folder in folders:
        folder.chmod(0o555)
    is_root = sys.platform == "linux" and os.geteuid() == 0
    if is_root:
        assert library.capget(ctypes.byref(header), sets) == 0
        before = sets[0].effective
        sets[0].effective &= ~_OVERRIDES
        assert library.capset(ctypes.byref(header), sets) == 0
    try:
        if any(os.access(folder, os.W_OK, effective_ids=is_root) for folder in folders):
            pytest.skip("this user may write in folders that are closed")
        yield
    finally:
        if is_root:
            sets[0].effective = before
            assert library.capset(ctypes.byref(header), sets) == 0
        for folder, mode in modes.items():
            folder.chmod(mode)
