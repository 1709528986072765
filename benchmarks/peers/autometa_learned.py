"""This project with the learned policy."""

from functools import partial

from benchmarks.peers.autometa import fit
from benchmarks.peers.contract import run

if __name__ == "__main__":
    run(partial(fit, policy="learned"))
