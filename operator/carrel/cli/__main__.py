"""`python -m carrel.cli`: the command line where no script is installed."""

from carrel.cli.main import main

main()
