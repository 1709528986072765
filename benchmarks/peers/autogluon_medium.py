"""AutoGluon with the preset medium_quality."""

from benchmarks.peers.autogluon import main

if __name__ == "__main__":
    main("medium_quality")
