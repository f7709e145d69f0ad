"""One load by many processes, on this machine or a Dask cluster, merged into one record."""
