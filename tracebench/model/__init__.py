"""The data that flows through the house: frozen, without behaviour, units in the names.

    Plan → Exchange (one row a request) → Timing → Decomposition → TargetResult → Result

Times inside a run are integers in nanoseconds on the client's monotonic clock; a result speaks
milliseconds as floats.
"""
