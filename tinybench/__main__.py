"""`python -m tinybench`, which MLproject uses: it runs the checkout that it stands in."""

from tinybench.cli.root import main

main()
