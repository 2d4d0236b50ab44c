"""How well S is predicted: random models, each measured by one real backward pass.

Usage: python benchmarks/prediction.py [models] [first seed]
"""

from __future__ import annotations

import math
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import torch
from random_models import Measured, measured, random_plan

WORST = 12


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def report(results: list[Measured]) -> None:
    errors = [each.error for each in results]
    inside = sum(each.is_inside() for each in results)
    widths = [each.predicted.hi - each.predicted.lo for each in results]
    scales = [
        abs(each.rms - each.predicted_rms.centre)
        for each in results
        if math.isfinite(each.predicted_rms.centre)
    ]
    print(f"models                         {len(results)}")
    print(f"median |error| of S            {statistics.median(errors):.3f} decades")
    print(f"95th percentile                {percentile(errors, 0.95):.3f} decades")
    print(f"inside interval and error bar  {inside / len(results):.1%}")
    print(f"interval, median and 95th      {statistics.median(widths):.3f} {percentile(widths, 0.95):.3f}")
    print(f"median |error| of the last rms {statistics.median(scales):.3f} decades")


def main(arguments: list[str]) -> None:
    count = int(arguments[0]) if arguments else 300
    start = int(arguments[1]) if len(arguments) > 1 else 0
    torch.set_num_threads(1)
    results = [measured(random_plan(seed)) for seed in range(start, start + count)]
    finite = [each for each in results if math.isfinite(each.decades)]
    report(finite)
    print(f"without any gradient           {len(results) - len(finite)}")
    for each in sorted(finite, key=lambda each: (each.is_inside(), -each.error))[:WORST]:
        mark = " " if each.is_inside() else "!"
        lo, hi = each.predicted.lo, each.predicted.hi
        print(f"{mark} {each.decades:8.2f} predicted {lo:8.2f} … {hi:8.2f}  {each.description}")


if __name__ == "__main__":
    main(sys.argv[1:])
