"""How much memory and how many cores there are for us, container limits respected."""

import os
import sys
from contextlib import suppress
from pathlib import Path

_FALLBACK_BYTES = 2 << 30
# Options of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# Arrays from this size on are given back at once; smaller ones come and go too often. The first where layers are read
# in pieces, the second, the largest that glibc takes, where they are in memory.
_LARGE_BYTES, _LARGE_BESIDE_LAYERS = 2 << 20, 32 << 20


def default_memory_bytes() -> int:
    """Return half of what can be had without swapping, by the system and by the control group, at least 256 MiB."""
    bounds = [bound for bound in (_system_available(), _group_available()) if bound is not None]
    return max(1 << 28, min(bounds, default=_FALLBACK_BYTES) // 2)


def _system_available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return None
    except (OSError, ValueError):
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        except (ValueError, OSError, AttributeError):
            return None


def _group_available() -> int | None:
    """Return what control groups (version 2, then 1) leave, cached files counted as free; None without a limit."""
    for folder, limit, used, cached in (
        ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most = Path(folder, limit).read_text().strip()
            if most != "max" and int(most) < 1 << 60:
                statistics = dict(line.split() for line in Path(folder, "memory.stat").read_text().splitlines())
                taken = int(Path(folder, used).read_text()) - int(statistics.get(cached, 0))
                return max(0, int(most) - taken)
        except (OSError, ValueError):
            continue
    return None


def give_back_freed_memory() -> None:
    """Make the C library return large arrays to the system once they are freed, where it is glibc.

    Else each thread keeps what it freed, and a process that reads in pieces grows to twice what its arrays take:
    177 MiB instead of 111 MiB were measured for 65 MiB of arrays.
    """
    _set_allocation({_M_TRIM_THRESHOLD: _LARGE_BYTES, _M_MMAP_THRESHOLD: _LARGE_BYTES, _M_ARENA_MAX: 1})


def keep_freed_memory() -> None:
    """Make the C library keep arrays of the size of a tile or a product once they are freed, where it is glibc.

    Else it gives them back until it has seen a larger one freed, and takes them anew, page by page: pairs of factors
    that were read from a checkpoint took a tenth longer than those just worked out.
    """
    options = {_M_TRIM_THRESHOLD: 8 * _LARGE_BESIDE_LAYERS, _M_MMAP_THRESHOLD: _LARGE_BESIDE_LAYERS, _M_ARENA_MAX: 1}
    _set_allocation(options)


def _set_allocation(options: dict[int, int]) -> None:
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with suppress(OSError, AttributeError):
        for option, value in options.items():
            ctypes.CDLL(None).mallopt(option, value)


def n_cores() -> int:
    """Return the cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
