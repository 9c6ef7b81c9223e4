"""The pages of the documentation, and the commands and links in them."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^( *)```([\w-]*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_LINK = re.compile(r"\[(?:[^\[\]]|!?\[[^\]]*\](?:\([^)]*\))?)*\]\(\s*<?([^\s)>]+)>?[^)]*\)")
_IMAGE = re.compile(r"!\[[^\]]*\]\(\s*<?([^\s)>]+)>?[^)]*\)|<img[^>]*\ssrc=\"([^\"]+)\"")
_REFERENCE = re.compile(r"^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A page of the documentation.

    Attributes:
        path: Its file.
        text: Its text.
    """

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """Kind and text of each fenced block."""
        return [(kind, textwrap.dedent(block)) for _, kind, block in _FENCE.findall(self.text)]

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def inline_code(self) -> list[str]:
        return [" ".join(code.split()) for _, code in _CODE.findall(self.prose)]

    @property
    def images(self) -> list[str]:
        return [first or second for first, second in _IMAGE.findall(_CODE.sub("", self.prose))]

    @property
    def links(self) -> list[str]:
        """Targets of all links, those of images included."""
        prose = _CODE.sub("code", self.prose)
        return [*_LINK.findall(prose), *_REFERENCE.findall(prose), *self.images]

    @property
    def anchors(self) -> set[str]:
        """Anchors of the headings, as GitHub and MkDocs make them."""
        anchors: set[str] = set()
        for heading in re.findall(r"^#+ +(.+?)(?: +\{#[\w-]+\})? *$", self.prose, re.MULTILINE):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
            anchors.add(re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-"))
        return anchors | set(re.findall(r"\{#([\w-]+)\}|<a (?:id|name)=\"([\w-]+)\"", self.prose))

    def commands(self) -> Iterator[list[str]]:
        """Yield the words of each command in the blocks; lines after a line that begins with `$ ` may be output."""
        for kind, block in self.blocks:
            if kind in ("", "sh", "bash", "console", "text"):
                lines = block.replace("\\\n", " ").splitlines()
                prompted = [line[2:] for line in lines if line.startswith("$ ")]
                for line in prompted or (lines if kind != "text" else []):
                    yield from split_commands(line)


def split_commands(line: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line, without comments, redirections and variables."""
    lexer = shlex.shlex(re.sub(r"(^|\s+)#\s.*$", "", line), posix=True, punctuation_chars=";|&<>")
    lexer.commenters, lexer.whitespace_split = "", True
    words: list[str] = []
    redirected = False
    for word in [*lexer, ";"]:
        if word and set(word) <= set(";|&"):
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                del words[0]
            if words:
                yield words
            words = []
        elif word in ("<", ">", ">>"):
            redirected = True
        elif redirected:
            redirected = False
        else:
            words.append(word)


def read_pages() -> list[Page]:
    """Return every page: the README, the contributor's page and those of `docs/`."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(file, file.read_text(encoding="utf-8")) for file in files if file.is_file()]
