"""How many files this process may have open, which each connection takes some of."""

import resource


def allow_open_files(count: int) -> int:
    """Raise the limit to so many, or as near as the system lets; returns what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return count
    most = count if hard == resource.RLIM_INFINITY else min(hard, count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
