"""Rows of the budgets table: what was measured, what is allowed, and whether that holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    job: str
    measured: str
    budget: str = ""
    met: bool | None = None
    """None: there is no budget, the row is there to be read beside others."""

    def __str__(self) -> str:
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return f"| {self.job} | {self.measured} | {self.budget} | {verdict} |"


HEAD = "| what | measured | budget | |\n|---|---|---|---|"
