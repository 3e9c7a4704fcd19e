"""Bring files from outside docs/ into the documentation site, and point links at where they stand there."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {  # path in the repository -> path on the site
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "assets/tiny-llava/README.md": "model-card.md",
}
PICTURES = ("assets/page.png", "assets/figures/*.svg")
LINK = re.compile(r"(\]\()([^)#:\s]+)([^)]*\))")


def on_files(files: Files, config) -> Files:
    """Add the pages and pictures that lie elsewhere in the repository."""
    for source, target in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if text.startswith("---\n"):  # settings of a Space or a model card, no text
            text = text.split("---\n", 2)[2]
        files.append(File.generated(config, target, content=text))
    for pattern in PICTURES:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page, **_) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    of_page = {target: source for source, target in PAGES.items()}
    source = of_page.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def turned(match: re.Match) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        target = PAGES.get(path, path.removeprefix("docs/"))
        if path in PAGES or path.startswith(("docs/", "assets/page", "assets/figures/")):
            return match[1] + target + match[3]
        return match[0]

    return LINK.sub(turned, markdown)
