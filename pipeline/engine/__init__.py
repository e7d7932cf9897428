"""The engine: blocks to tasks, tasks to workers, results to a journal and from it to tables."""
