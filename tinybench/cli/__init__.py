"""The command line: click commands and what they print. Parse words, make one call, print words."""

from __future__ import annotations

from tinybench.cli.root import main

__all__ = ["main"]
