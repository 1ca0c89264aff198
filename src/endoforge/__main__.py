"""`python -m endoforge` is `endoforge`."""

from endoforge.cli import main

main()
