"""`python -m ackbox.cli`."""

from ackbox.cli import main

main()
