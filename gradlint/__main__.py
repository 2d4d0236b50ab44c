"""`python -m gradlint`."""

from gradlint.cli.main import main

main()
