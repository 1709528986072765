"""AutoGluon with the preset best_quality."""

from benchmarks.peers.autogluon import main

if __name__ == "__main__":
    main("best_quality")
