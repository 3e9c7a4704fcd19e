"""Pictures in rows, a caption under each, and lines of text below them all: one sheet."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from . import palette

GAP, LEADING = 16, 22


def sheet(rows: list[list[tuple[Image.Image, str]]], cell: int, lines: list[str]) -> Image.Image:
    """Rows of (picture, caption) in cells of `cell` pixels, and lines of text below them all.

    Long text is wrapped, and cut after three lines.
    """
    font = ImageFont.load_default(size=15)
    width = max(map(len, rows)) * (cell + GAP) + GAP
    placed, written, y = [], [], GAP
    for row in rows:
        below = [wrap_text(caption, font, cell) for _, caption in row]
        text_top = y + max(picture.height for picture, _ in row) + 6
        for i, ((picture, _), said) in enumerate(zip(row, below, strict=True)):
            placed.append((picture, (GAP + i * (cell + GAP), y)))
            written.append((said, GAP + i * (cell + GAP), text_top))
        y = text_top + LEADING * max(map(len, below)) + (GAP if any(below) else GAP // 2)
    said = [row for line in lines for row in wrap_text(line, font, width - 2 * GAP)]
    written.append((said, GAP, y))
    made = Image.new("RGB", (width, y + LEADING * len(said) + GAP), palette.PAPER)
    pen = ImageDraw.Draw(made)
    for picture, corner in placed:
        made.paste(picture, corner)
    for said, x, top in written:
        for i, text in enumerate(said):
            pen.text((x, top + LEADING * i), text, fill=palette.INK, font=font)
    return made


def wrap_text(text: str, font: ImageFont.FreeTypeFont, width: int, most: int = 3) -> list[str]:
    """At most `most` lines, none wider than `width` pixels, broken at spaces where there are any."""
    text = " ".join(text.split())
    rows: list[str] = []
    while text and len(rows) < most:
        # Measured from the left and never the whole text, which may be a book.
        fits = next((i for i in range(len(text)) if font.getlength(text[: i + 1]) > width), len(text))
        space = text.rfind(" ", 0, fits + 1) if fits < len(text) else -1
        end = space if space > 0 else max(1, fits)
        row, text = text[:end], text[end:].lstrip()
        rows.append(row)
    if text:
        while rows[-1] and font.getlength(rows[-1] + "…") > width:
            rows[-1] = rows[-1][:-1]
        rows[-1] += "…"
    return rows
