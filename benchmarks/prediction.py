"""How well S is predicted: random models, each measured by one real backward pass.

    python benchmarks/prediction.py                              # 1500 models
    python benchmarks/prediction.py --models 300 --seed 5000     # others
    python benchmarks/prediction.py --write                      # and put the figures into docs/

With --write, the models of published packages (published.py) are measured too.

Drawing needs matplotlib (`pip install torch-gradlint[dev] matplotlib`).
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import claims
import published
import torch
from corpus import default_cache
from published import Outcome
from random_models import Measured, Plan, measured, random_plan

ROOT = Path(__file__).resolve().parent.parent
WORST = 12
PAGE, PICTURE = ROOT / "docs" / "prediction.md", ROOT / "docs" / "prediction.svg"
Result = tuple[Plan, Measured]


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def row(name: str, results: Sequence[Result]) -> str:
    """Errors of S in decades, share inside, interval width, error of the last rms."""
    found = [each for _, each in results]
    errors = [each.error for each in found]
    widths = [each.predicted.hi - each.predicted.lo for each in found]
    inside = sum(each.is_inside() for each in found) / len(found)
    scales = [abs(each.rms - each.predicted_rms.centre) for each in found]
    scale = statistics.median([error for error in scales if math.isfinite(error)])
    return (
        f"| {name} | {len(found)} | {statistics.median(errors):.3f} | {percentile(errors, 0.95):.3f} "
        f"| {inside:.1%} | {statistics.median(widths):.2f} | {scale:.3f} |"
    )


def table(results: Sequence[Result]) -> Iterator[str]:
    """Rows for all models and for groups of them."""
    yield "| models | number | median error | 95th percentile | inside | interval | error of scale |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    yield row("all", results)
    for kind in sorted({plan.kind for plan, _ in results}):
        yield row(kind, [result for result in results if result[0].kind == kind])
    for norm in sorted({str(plan.norm) for plan, _ in results}):
        yield row(f"norm: {norm}", [result for result in results if str(result[0].norm) == norm])
    for residual in sorted({plan.residual for plan, _ in results}):
        yield row(f"residual: {residual}", [result for result in results if result[0].residual == residual])


def page(results: Sequence[Result], real: Sequence[Outcome], options: argparse.Namespace) -> str:
    """The page of the documentation."""
    return f"""# How well gradients are predicted

S is the gradient's norm at the first weighted layer over that at the last one before the head, in
decades (log10). It is predicted from the graph of a model alone and measured by one real backward pass
of a random projection of the output. The models are drawn at random: {options.models} of them, seeds from
{options.seed}, with every activation, initialiser, norm, residual form, pooling and dropout that the draw
of `tests/random_models.py` knows; inputs are noise, standardised or uniform on [0, 1].

{chr(10).join(table(results))}

*Error* is the distance of the measurement from the middle of the predicted interval. *Inside* is the
share of models whose measurement lies in the interval, widened by three standard deviations of what
finite width makes, and by 0.1. *Interval* is the median width of the predicted interval. *Error of scale*
is the median error of log10 of the last layer's root mean square.

## Models of published packages

Small configurations with random weights, constructed by the same lines for both sides: the graph is built
from the package's source, S is measured by one backward pass between the same modules
(`benchmarks/published.py` names them all).

{chr(10).join(published.table(real))}

*Read as a whole* are models in whose graph nothing is unknown. *With a chain* are those with two weighted
layers or more before the head, *bounded* those whose prediction has two finite ends; of these, *inside*
counts the measurements that lie in the prediction, widened as above, and errors and intervals are taken.
An unbounded prediction promises nothing, and no rule speaks of it. Intervals of real models are wider
than those of the draw: how a gradient spreads over tokens, positions and concatenated parts is not known
without the shape of the input, and tables of positions are numbers that are not computed. Where a class
token alone is read, the others get what attention hands on, up to 1.5 decades less.

Not understood:

{chr(10).join(published.reasons(real))}

## Findings

{claims.kept()}

## The picture

Models of the draw are dots, published ones crosses.

![measured against predicted](prediction.svg)

What the numbers do not say: the draw and the choice of published models are ours, and the formulas were
adjusted while other seeds of the same draw were looked at; inputs are not natural images or text.

## Repeat it

```
pip install -e '.[dev]' matplotlib torchvision
pip install einops einx loguru torch-einops-utils huggingface_hub tokenizers regex safetensors
python benchmarks/prediction.py --write
python benchmarks/claims.py --write     # the section on findings
```
"""


def draw(results: Sequence[Result], real: Sequence[Outcome]) -> None:
    """Predicted against measured; of published models the bounded ones with their intervals."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gradlint"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 6))
    ends = (-12.0, 12.0)
    axes.plot(ends, ends, color="0.7", linewidth=1)
    for kind in sorted({plan.kind for plan, _ in results}):
        chosen = [each for plan, each in results if plan.kind == kind]
        centres = [each.predicted.centre for each in chosen]
        axes.scatter(centres, [each.decades for each in chosen], s=6, alpha=0.6, label=kind)
    bounded = [(each.predicted, each.measured) for each in real if each.predicted is not None]
    centres, sizes = [p.centre for p, _ in bounded], [(p.hi - p.lo) / 2 for p, _ in bounded]
    style = {"fmt": "kx", "markersize": 5, "elinewidth": 0.4, "label": "published"}
    axes.errorbar(centres, [s for _, s in bounded], xerr=sizes, **style)
    axes.set(xlim=ends, ylim=ends, xlabel="predicted S, decades", ylabel="measured S, decades")
    axes.legend(frameon=False)
    figure.savefig(PICTURE, metadata={"Date": None}, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=2_000_000, help="the first seed")
    parser.add_argument("--corpus", type=Path, default=default_cache() / "corpus", help="the unpacked wheels")
    parser.add_argument("--write", action="store_true", help="write docs/prediction.md and its picture")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plans = [random_plan(seed) for seed in range(options.seed, options.seed + options.models)]
    results = [(plan, each) for plan in plans if math.isfinite((each := measured(plan)).decades)]
    print("\n".join(table(results)))
    print(f"without any gradient: {options.models - len(results)}")
    for _, each in sorted(results, key=lambda result: (result[1].is_inside(), -result[1].error))[:WORST]:
        mark = " " if each.is_inside() else "!"
        lo, hi = each.predicted.lo, each.predicted.hi
        print(f"{mark} {each.decades:8.2f} predicted {lo:8.2f} … {hi:8.2f}  {each.description}")
    if options.write:
        real = list(published.outcomes(published.MODELS, options.corpus))
        PAGE.write_text(page(results, real, options), encoding="utf-8")
        draw(results, real)


if __name__ == "__main__":
    main()
