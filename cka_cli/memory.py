"""How much memory and how many cores there are for us, container limits respected."""

import os
from pathlib import Path

_FALLBACK_BYTES = 2 << 30


def default_memory_bytes() -> int:
    """Return half of the memory that is free for this process, at least 256 MiB."""
    return max(1 << 28, free_memory_bytes() // 2)


def free_memory_bytes() -> int:
    """Return the bytes that can be had without swapping: what the system has, and what the control group allows."""
    bounds = [bound for bound in (_system_available(), _group_available()) if bound is not None]
    return min(bounds) if bounds else _FALLBACK_BYTES


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


def n_cores() -> int:
    """Return the cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
