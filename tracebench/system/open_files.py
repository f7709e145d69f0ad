"""The limit on this process's open files; each connection needs at least one."""

import resource


def allow_open_files(count: int) -> int:
    """Raise the limit to `count`, or as far as the system allows; returns the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return count
    most = count if hard == resource.RLIM_INFINITY else min(hard, count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
