"""Keeping freed memory: harmless everywhere, and no page faults where it works."""

from __future__ import annotations

import ctypes
import platform
import resource
import sys
from pathlib import Path

import pytest
import torch

from vidream.core.allocator import _from_glibc, give_back_freed_memory, keep_freed_memory


@pytest.fixture(autouse=True)
def forgotten():
    """Let each test do it for the first time."""
    keep_freed_memory.cache_clear()
    _from_glibc.cache_clear()


def test_it_is_harmless_and_asks_only_once(monkeypatch):
    keep_freed_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("asked again"))
    keep_freed_memory()
    assert torch.ones(2**22).sum() == 2**22


def refuse(error):
    def load(name):
        raise error

    return load


@pytest.mark.parametrize(
    "load", [lambda name: object(), refuse(OSError("static"))], ids=["no mallopt", "no library"]
)
def test_other_libraries_are_left_alone(load, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", load)
    keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("asked Windows"))
    keep_freed_memory()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_asked_for_again_is_not_mapped_anew():
    keep_freed_memory()

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [torch.ones(2**21) for _ in range(8)]  # 8 MB each
        del blocks
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults()
    assert min(faults() for _ in range(5)) < 1000  # pages; 16,000 if mapped anew


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_given_back_is_no_longer_held():
    keep_freed_memory()

    def held():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    blocks = [torch.ones(2**21) for _ in range(16)]  # 8 MB each
    between = torch.ones(2**10)  # the heap cannot shrink past it
    full = held()
    del blocks
    give_back_freed_memory()
    assert held() < full - 100
    assert between.sum() == 2**10
