"""Pretrains, finetunes or probes a network: python train.py experiment=<recipe> [<key>=<value>] (--help lists all)."""

from tbe.launch.cli import train

if __name__ == "__main__":
    train()
