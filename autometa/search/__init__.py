"""One search: its time and memory, the run folder, resume, executors, and what people see of it."""
