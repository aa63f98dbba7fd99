"""`python -m covergen`."""

from covergen.cli.main import main

main()
