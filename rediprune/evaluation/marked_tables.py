"""Write generated tables into a hand-written page, between the marks `<!-- name -->` and `<!-- /name -->`."""

from __future__ import annotations

from collections.abc import Mapping


def write_marked_tables(page: str, tables: Mapping[str, str]) -> str:
    """Return the page with every table between its marks; the text outside the marks stays as it is.

    Args:
        page: Markdown. Where only the opening mark stands, the closing mark is added.
        tables: the body of each table by the name of its mark.

    Raises:
        ValueError: a table whose opening mark stands on the page not exactly once, or whose closing mark
            stands before it or more than once.
    """
    for name, body in tables.items():
        opening = f"<!-- {name} -->"
        closing = f"<!-- /{name} -->"
        if page.count(opening) != 1:
            raise ValueError(
                f"the page has {page.count(opening)} places marked {opening}: it needs exactly one"
            )
        before, after = page.split(opening)
        if closing in before or after.count(closing) > 1:
            raise ValueError(f"the page needs {closing} exactly once, behind {opening}")
        if closing in after:
            _, after = after.split(closing)
        page = f"{before}{opening}\n{body}\n{closing}{after}"
    return page
