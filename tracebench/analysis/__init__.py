"""Pure analysis: attribution and closure, statistics, verdict. Data in, data out."""
