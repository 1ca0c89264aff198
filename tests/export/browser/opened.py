"""The page that detects, in the hands of a person who reads what it shows."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.chromium import Browser, expect


class Opened:
    """A page that was opened at `address`, once its detector is ready."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.page = browser.new_page(viewport={"width": 1200, "height": 800})
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        expect(self.page.locator("#state")).to_contain_text("Ready")
        self.address = address

    def close(self) -> None:
        """Close it; there was no error, and nothing asked for but what is in the page itself."""
        foreign = [url for url in self.requests if not url.startswith(("blob:", "data:"))]
        self.page.close()
        assert self.faults == []
        assert foreign == [self.address]

    def choose(self, *files: Path) -> None:
        """Choose files, and wait until all were looked at."""
        self.page.set_input_files("#files", files)
        said = self.page.locator("#entries small")
        expect(said.filter(has_text="waiting")).to_have_count(0)
        expect(self.page.locator('#entries button[aria-current="true"]')).to_have_count(1)

    def show(self, name: str) -> None:
        """Choose one of the list, and wait until it is seen."""
        self.page.locator("#entries button", has_text=name).click()
        expect(self.page.locator("#summary")).to_contain_text(f"{name}: ")

    def said_of(self, name: str) -> str:
        """What the list says of a file."""
        return self.page.locator("#entries button", has_text=name).locator("small").inner_text()

    def boxes(self) -> tuple[NDArray[np.float64], list[tuple[str, float]]]:
        """What is drawn over the picture: boxes (N, 4) xyxy in 0..1, and their captions."""
        rows = self.page.locator(".box").evaluate_all(
            "boxes => boxes.map(({ style, textContent }) =>"
            " [style.left, style.top, style.width, style.height, textContent])"
        )
        sides = np.array([[float(side.rstrip("%")) / 100 for side in row[:4]] for row in rows])
        sides = sides.reshape(-1, 4)
        sides[:, 2:] += sides[:, :2]
        words = [re.fullmatch(r"(\w+) ([\d.]+)", row[4]) for row in rows]
        return sides, [(word[1], float(word[2])) for word in words if word]
