"""A person who has a keyboard and no mouse, and looks where the focus is."""

from __future__ import annotations

import re
from typing import Any

MOST_TABS = 90

LOOK = """() => {
    const at = document.activeElement;
    if (!at || at === document.body) return null;
    const drawn = at.type === "file" ? at.parentElement.parentElement.parentElement : at; // it hides in a frame
    const ring = () => {
        const style = getComputedStyle(drawn);
        return [style.outlineStyle, style.outlineWidth, style.outlineColor, style.boxShadow].join(" ");
    };
    const focused = ring();
    at.blur();
    const unfocused = ring();
    at.focus();
    const box = drawn.getBoundingClientRect();
    const typed = ["INPUT", "SELECT", "TEXTAREA"].includes(at.tagName);
    const labels = [...(at.labels || [])].map(each => each.innerText).join(" ");
    const name = at.ariaLabel || labels || (typed ? at.name : at.innerText) || at.title || at.value || "";
    return {
        name: name.replace(/\\s+/g, " ").replace(/ \\*$/, "").trim(),
        tag: at.tagName.toLowerCase(),
        marked: focused !== unfocused,
        shown: drawn.checkVisibility({visibilityProperty: true, opacityProperty: true}) && box.width > 0
            && box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight,
    };
}"""
"""What has the focus, whether it looks otherwise than without it, and whether it is on the screen."""

OUT_OF_REACH = """() => [...document.querySelectorAll("body *")].filter(each =>
    (each.onclick || each.hasAttribute("x-on:click") || getComputedStyle(each).cursor === "pointer")
    && each.checkVisibility({visibilityProperty: true})
    && each.tabIndex < 0
    && !each.closest("a[href], button, label, select, summary, [role=button], [tabindex='0'], #changelist-filter-close")
    && !each.querySelector("a[href], button, input, [role=button]")
).map(each => each.outerHTML.slice(0, 160))"""
"""What answers to a mouse alone."""


class Keyboard:
    """Walks a page by its keys. Each thing that gets the focus has to show it, and to be on the screen."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def tab_to(self, name: str | re.Pattern[str], *, tag: str = "") -> list[str]:
        """Tabs on until something of this name has the focus; the names on the way, its own last."""
        passed: list[str] = []
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            found = self.page.evaluate(LOOK)
            if found is None:
                continue
            assert found["marked"], f"the focus on {found} is not to be seen"
            assert found["shown"], f"{found} has the focus and is not on the screen"
            passed.append(found["name"])
            fits = name.search(found["name"]) if isinstance(name, re.Pattern) else found["name"] == name
            if fits and tag in ("", found["tag"]):
                return passed
        raise AssertionError(f"no way to {name!r} by Tab: {passed}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def go(self, name: str | re.Pattern[str], key: str = "Enter") -> list[str]:
        """Tabs to a link or button and presses it."""
        passed = self.tab_to(name)
        self.press(key)
        return passed

    def write(self, name: str | re.Pattern[str], text: str) -> list[str]:
        """Tabs to a field and types into it."""
        passed = self.tab_to(name)
        self.page.keyboard.type(text)
        return passed

    def into_the_page(self) -> None:
        """Past the menu by its first link."""
        self.go("Skip the menu")

    def reaches_everything(self) -> None:
        assert self.page.evaluate(OUT_OF_REACH) == []
