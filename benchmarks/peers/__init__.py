"""One small script per system: it reads a job, fits, and writes predictions of the test part."""
