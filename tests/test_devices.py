"""How much of the machine there is: processor cores and memory, also within containers."""

from __future__ import annotations

import os

import pytest
import torch

from vidream.core import cores, memory
from vidream.core.cores import core_count
from vidream.core.memory import MemoryBudget


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """Returns a function that writes files of control groups, by path; 8 cores by affinity."""
    monkeypatch.setattr(cores, "_CGROUP_ROOT", tmp_path / "fs")
    monkeypatch.setattr(cores, "_CGROUPS_OF_PROCESS", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def write(process, **files):
        (tmp_path / "cgroup").write_text(process)
        for path, text in files.items():
            file = tmp_path / "fs" / path.replace("__", "/").replace("cpu_", "cpu.")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    return write


def test_cores_are_those_of_the_affinity(cgroups, monkeypatch):
    assert core_count() == 8
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert core_count() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
def test_a_process_that_is_bound_to_a_core_has_one():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert core_count() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= core_count() <= len(before)


@pytest.mark.parametrize(
    ("quota", "count"),
    [
        *(("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("1000 100000", 1)),
        *(("1600000 100000", 8), ("", 8), ("rubbish", 8)),
    ],
)
def test_the_quota_of_a_control_group(cgroups, quota, count):
    cgroups("0::/a/b\n", a__b__cpu_max=quota)
    assert core_count() == count


def test_the_least_of_all_groups_counts(cgroups):
    cgroups("0::/a/b\n", a__b__cpu_max="max 100000", a__cpu_max="300000 100000", cpu_max="9 9")
    assert core_count() == 1


def test_within_a_container_the_path_is_not_there(cgroups):
    cgroups("0::/docker/1234\n", cpu_max="200000 100000")
    assert core_count() == 2


@pytest.mark.parametrize(("quota", "count"), [("-1", 8), ("250000", 3)])
def test_the_quota_of_a_control_group_of_old(cgroups, quota, count):
    files = {"cpu__a__cpu_cfs_quota_us": quota, "cpu__a__cpu_cfs_period_us": "100000"}
    cgroups("4:memory:/a\n3:cpuacct,cpu:/a\n", **files)
    assert core_count() == count


def test_a_cap_counts_the_memory_that_is_held():
    cpu = torch.device("cpu")
    held = memory.held(cpu)
    assert held > 2**26
    assert MemoryBudget(held // 2, cpu).bytes == 0
    assert 0 < MemoryBudget(held + 2**30, cpu).bytes <= 2**30 + 2**28
    assert 0 < MemoryBudget(None, cpu).bytes < 0.75 * memory.free(cpu) + 2**28


def test_memory_is_measured_once(monkeypatch):
    budget = MemoryBudget(None, torch.device("cpu"))
    before = budget.bytes
    monkeypatch.setattr(memory, "free", lambda _: 0)
    assert budget.bytes == before


def test_a_container_s_memory_limit_counts(tmp_path):
    names = str(tmp_path), "memory.max", "memory.current"
    assert memory._cgroup(*names) > 2**60
    for name, text in {
        "memory.max": "5000",
        "memory.current": "3000",
        "memory.stat": "anon 1000\ninactive_file 700\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert memory._cgroup(*names) == 2700
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._cgroup(*names) > 2**60
