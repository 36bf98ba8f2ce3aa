"""The curves of a training as a picture: python scripts/plot_training.py work_dirs/NAME curve.png"""

from __future__ import annotations

import argparse

from dyenet.training.plot import plot_training

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work_dir", help="the folder of a training")
    parser.add_argument("picture", help="the .png or .pdf to write")
    arguments = parser.parse_args()
    plot_training(arguments.work_dir, arguments.picture)
