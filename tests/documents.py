"""The fenced blocks of README and docs.

A ```sh block is run by `tests/e2e/test_docs.py`, unless the line before it is `<!-- not run: why -->`. A line of it that ends in
`# refused` must fail. Other languages show something: `console` and `text` are no commands.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUN = "sh"
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*) *$")
_NOT_RUN = re.compile(r"^ *<!-- not run: (?P<why>.+) -->$")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page: README first, whose demo the others use."""
    site = sorted(path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts)
    return [ROOT / "README.md", *site]


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page; an AssertionError when one isn't closed."""
    found: list[Block] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        closing = opening["indent"] + "```"
        end = next((at for at in range(number + 1, len(lines)) if lines[at] == closing), None)
        page = str(path.relative_to(ROOT))
        assert end is not None, f"{page}:{number + 1}: the block is not closed"
        reason = _NOT_RUN.match(lines[number - 1]) if number else None
        inner = [line.removeprefix(opening["indent"]) for line in lines[number + 1 : end]]
        text = "\n".join(inner) + "\n"
        found.append(Block(page, number + 1, opening["language"], text, reason["why"] if reason else None))
        number = end + 1
    return found


def every_block() -> list[Block]:
    """The blocks of all pages."""
    return [block for path in pages() for block in blocks(path)]
