"""Write every picture anew: `python -m tests.golden`. Look at each before it is committed."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.conftest import BROWSER_FLAGS
from tests.golden.stage import MEDIA, SCREENS, pictures
from tests.support import chromium

FOLDER = Path(__file__).with_name("pictures")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    total = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=list(BROWSER_FLAGS))
        for medium in MEDIA:
            for screen in SCREENS:
                for name, made in pictures(browser, medium, screen):
                    file = FOLDER / f"{name}.png"
                    made.save(file, optimize=True)
                    total += file.stat().st_size
                    print(f"{file.stat().st_size / 1024:5.1f} KiB  {file.name}")
        browser.close()
    print(f"{total / 1024:5.1f} KiB in all")


if __name__ == "__main__":
    main()
