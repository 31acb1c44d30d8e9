"""A canvas of characters: lines and dots in braille, text on top; or plain ASCII."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

_BRAILLE = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
COLUMNS, ROWS = 2, 4
"""Dots of one character cell."""


class Canvas:
    """``width`` by ``height`` character cells; dots are addressed 2 by 4 to a cell.

    :param ascii_only: draw with characters that every terminal has.
    """

    def __init__(self, width: int, height: int, *, ascii_only: bool = False) -> None:
        self.width = width
        self.height = height
        self._ascii = ascii_only
        self._dots: dict[tuple[int, int], int] = {}
        self._styles: dict[tuple[int, int], str] = {}
        self._letters: dict[tuple[int, int], str] = {}

    def dot(self, x: float, y: float, style: str) -> None:
        """Set the dot at ``x``, ``y`` (in dots); one outside the canvas is not shown."""
        column, row = round(x), round(y)
        cell = (column // COLUMNS, row // ROWS)
        self._dots[cell] = self._dots.get(cell, 0) | _BITS[row % ROWS][column % COLUMNS]
        self._styles[cell] = style

    def line(self, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
        """Draw a straight line between two places (in dots)."""
        (x1, y1), (x2, y2) = start, end
        steps = max(1, round(max(abs(x2 - x1), abs(y2 - y1))))
        for step in range(steps + 1):
            part = step / steps
            self.dot(x1 + (x2 - x1) * part, y1 + (y2 - y1) * part, style)

    def free(self, column: int, row: int, length: int) -> bool:
        """Return True if those cells exist and no text is in or beside them."""
        inside = 0 <= row < self.height and column >= 0 and column + length <= self.width
        return inside and not any(
            (place, row) in self._letters for place in range(column - 1, column + length + 1)
        )

    def text(self, column: int, row: int, text: str, style: str) -> None:
        """Write text, over anything that is drawn there."""
        for place, letter in enumerate(text, column):
            self._letters[place, row] = letter
            self._styles[place, row] = style

    def lines(self) -> list[Text]:
        """Return the drawing, a line of text a row."""
        from rich.text import Text  # noqa: PLC0415 - slow to import

        rows = []
        for row in range(self.height):
            line = Text()
            for column in range(self.width):
                cell = (column, row)
                line.append(self._letters.get(cell) or self._drawn(cell), self._styles.get(cell))
            rows.append(line)
        return rows

    def _drawn(self, cell: tuple[int, int]) -> str:
        dots = self._dots.get(cell, 0)
        if not dots:
            return " "
        return "." if self._ascii else chr(_BRAILLE + dots)
