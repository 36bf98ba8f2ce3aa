"""``python -m dyenet`` is ``dyenet``; also what ``torchrun -m dyenet train CONFIG`` starts."""

from dyenet.cli import main

if __name__ == "__main__":
    main()
