"""Lay out one sheet: pictures in rows, a caption under each, and lines of text below them all."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from . import palette

GAP, LEADING = 16, 22


def sheet(rows: list[list[tuple[Image.Image, str]]], cell: int, lines: list[str]) -> Image.Image:
    """Draw rows of (picture, caption) in cells of `cell` pixels, and lines of text below them.

    Long text is wrapped, and cut after three lines.
    """
    font = ImageFont.load_default(size=15)
    width = max(map(len, rows)) * (cell + GAP) + GAP
    # First find every place, as the height of the sheet depends on all of them; then draw.
    pictures = []
    texts = []
    y = GAP
    for row in rows:
        below = [wrap_text(caption, font, cell) for _, caption in row]
        text_top = y + max(picture.height for picture, _ in row) + 6
        for i, ((picture, _), caption) in enumerate(zip(row, below, strict=True)):
            x = GAP + i * (cell + GAP)
            pictures.append((picture, (x, y)))
            texts.append((caption, x, text_top))
        y = text_top + LEADING * max(map(len, below)) + (GAP if any(below) else GAP // 2)
    wrapped_lines = [row for line in lines for row in wrap_text(line, font, width - 2 * GAP)]
    texts.append((wrapped_lines, GAP, y))

    canvas = Image.new("RGB", (width, y + LEADING * len(wrapped_lines) + GAP), palette.PAPER)
    pen = ImageDraw.Draw(canvas)
    for picture, corner in pictures:
        canvas.paste(picture, corner)
    for rows_of_text, x, top in texts:
        for i, text in enumerate(rows_of_text):
            pen.text((x, top + LEADING * i), text, fill=palette.INK, font=font)
    return canvas


def wrap_text(text: str, font: ImageFont.FreeTypeFont, width: int, most: int = 3) -> list[str]:
    """Break a text into at most `most` lines of at most `width` pixels, at spaces where there are any."""
    text = " ".join(text.split())
    rows: list[str] = []
    while text and len(rows) < most:
        # Measure from the left, never the whole text, which may be a book.
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
