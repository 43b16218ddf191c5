"""How long each tool's command line takes to say its version."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

import measure


@dataclass(frozen=True)
class StartFigures:
    """Medians per tool over all runs: seconds of wall and CPU, MiB of peak memory."""

    runs: int
    cost: dict[str, measure.Cost]

    def ratio(self) -> float:
        """How many times faster ours answers, by the wall clock."""
        return self.cost["llamafactory"].wall / self.cost["tunesmith"].wall


def measure_start(commands: dict[str, Path], work: Path, *, runs: int) -> StartFigures:
    """Run `<tool> version` in turn, `runs` times each, after one unmeasured run of both."""
    costs: dict[str, list[measure.Cost]] = {tool: [] for tool in commands}
    for number in range(runs + 1):
        for tool, command in commands.items():
            cost = measure.run([command, "version"], output=work / "logs" / f"start_{tool}.txt")
            if number:
                costs[tool].append(cost)
    return StartFigures(runs, {tool: _middle(seen) for tool, seen in costs.items()})


def _middle(costs: list[measure.Cost]) -> measure.Cost:
    return measure.Cost(median(c.wall for c in costs), median(c.cpu for c in costs), median(c.peak_mib for c in costs))
