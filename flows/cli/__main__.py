"""python -m flows.cli is `mopd`."""

from flows.cli import entry

if __name__ == "__main__":
    entry()
