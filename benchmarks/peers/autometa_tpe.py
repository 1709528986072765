"""This project with Optuna's TPE from the first trial on."""

from functools import partial

from benchmarks.peers.autometa import fit
from benchmarks.peers.contract import run

if __name__ == "__main__":
    run(partial(fit, policy="tpe"))
