"""``python -m vidream`` is the command ``vidream``."""

from vidream.cli import main

main()
