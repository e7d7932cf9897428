"""From a run file to a run folder: command line, Dask, and the only code that meets reports."""
