"""What a window leaves behind: rows and reply times, in memory or spilled, read after the load."""
