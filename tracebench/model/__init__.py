"""The data that passes between the packages: frozen, without behaviour, with units in the names.

    Plan → Exchange (one row per request) → Timing → Decomposition → TargetResult → Result

Times inside a run are integers in nanoseconds on the client's monotonic clock; a result holds
milliseconds as floats.
"""
