"""Measurements as Markdown: what everything took, and which targets that meets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cases import ANALYSED, CHANGED, COLD, COMPARED, LARGE, REJECTED, WARM, Key
from corpus import files_of, lines_of
from measure import Sample, median
from tools import RUFF, TORCHFIX

Samples = Mapping[Key, Sequence[Sample]]
MEGABYTE = 1_000_000


def render(samples: Samples, corpus: Path) -> str:
    """All tables, one below the other."""
    medians = {key: median(values) for key, values in samples.items()}
    parts = [_package(package.name, package.root(corpus), medians) for package in COMPARED]
    parts += [_small_files(medians), _large(corpus, medians), _targets(samples, medians, corpus)]
    return "\n\n".join(parts)


def _table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A table whose columns are right-aligned but for the first."""
    marks = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, marks, *rows))


def _cost(sample: Sample, base: Sample) -> list[str]:
    """CPU and wall time, memory, and both times as multiples of those of `base`."""
    ratios = (_figure(sample.cpu / base.cpu), _figure(sample.wall / base.wall))
    return [_figure(sample.cpu), _figure(sample.wall), f"{sample.peak / MEGABYTE:.0f}", *ratios]


def _figure(number: float) -> str:
    """A number with about three digits that count."""
    return f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2 if number >= 1 else 3}f}"


COSTS = ("CPU s", "wall s", "peak MB", "CPU ÷ gradlint", "wall ÷ gradlint")


def _package(name: str, root: Path, medians: Mapping[Key, Sample]) -> str:
    base = medians[Key(name, "gradlint", COLD)]
    title = f"### {name}: {len(files_of(root))} files, {lines_of(root):,} lines"
    rows = (
        [_label(key), *_cost(sample, base)]
        for key, sample in sorted(medians.items(), key=lambda item: item[1].cpu)
        if key.subject == name
    )
    return f"{title}\n\n{_table(('tool', *COSTS), rows)}"


def _label(key: Key) -> str:
    return f"{_bold(key.tool)}, {key.state}" if key.tool == "gradlint" else key.tool


def _bold(tool: str) -> str:
    return f"**{tool}**" if tool == "gradlint" else tool


def _small_files(medians: Mapping[Key, Sample]) -> str:
    rows = (
        [key.state, _bold(key.tool), *_cost(sample, medians[Key(key.subject, "gradlint", key.state)])]
        for state in (ANALYSED, REJECTED)
        for key, sample in sorted(medians.items(), key=lambda item: item[1].cpu)
        if key.subject == "one file" and key.state == state
    )
    return f"### One file of 200 lines\n\n{_table(('file', 'tool', *COSTS), rows)}"


def _large(corpus: Path, medians: Mapping[Key, Sample]) -> str:
    rows = (_scale(package.name, package.root(corpus), medians) for package in (*COMPARED, LARGE))
    heads = ("package", "files", "lines", "CPU s", "wall s", "kLOC per CPU s", "peak MB")
    return f"### From small to large, cold\n\n{_table(heads, rows)}"


def _scale(name: str, root: Path, medians: Mapping[Key, Sample]) -> list[str]:
    sample, lines = medians[Key(name, "gradlint", COLD)], lines_of(root)
    speed = f"{lines / 1000 / sample.cpu:.0f}"
    figures = (_figure(sample.cpu), _figure(sample.wall), speed, f"{sample.peak / MEGABYTE:.0f}")
    return [name, str(len(files_of(root))), f"{lines:,}", *figures]


# targets


def _targets(samples: Samples, medians: Mapping[Key, Sample], corpus: Path) -> str:
    rows = [*_compared(medians), *_changed(samples), *_absolute(medians), _linearity(medians, corpus)]
    rows.append(_memory(samples))
    shown = ([what, bound, reached, "yes" if met else "**no**"] for what, bound, reached, met in rows)
    return f"### Targets\n\n{_table(('target', 'bound', 'reached', 'met'), shown)}"


Row = tuple[str, str, str, bool]


def _compared(medians: Mapping[Key, Sample]) -> Iterator[Row]:
    for name in [package.name for package in COMPARED]:
        cold, warm = (medians[Key(name, "gradlint", state)] for state in (COLD, WARM))
        ruff = medians.get(Key(name, RUFF.name, COLD))
        torchfix = medians.get(Key(name, TORCHFIX.name, COLD))
        if torchfix:
            ratio = torchfix.cpu / cold.cpu
            yield f"{name} cold, CPU of TorchFix ÷ gradlint", "≥ 100", f"{_figure(ratio)}", ratio >= 100
        if ruff:
            ratio = cold.cpu / ruff.cpu
            yield f"{name} cold, CPU of gradlint ÷ ruff", "≤ 5", f"{_figure(ratio)}", ratio <= 5
            ratio = warm.cpu / ruff.cpu
            yield f"{name} warm, CPU of gradlint ÷ ruff", "≤ 1", f"{_figure(ratio)}", ratio <= 1
            ratio = warm.wall / ruff.wall
            yield f"{name} warm, wall time of gradlint ÷ ruff", "≤ 1", f"{_figure(ratio)}", ratio <= 1


def _changed(samples: Samples) -> Iterator[Row]:
    for name in [package.name for package in COMPARED]:
        runs = samples[Key(name, "gradlint", CHANGED)]
        middle, worst = median(runs).wall, max(sample.wall for sample in runs)
        yield (
            f"{name}, one file changed, wall time",
            "≤ 0.5 s",
            f"{_figure(middle)} s (slowest of {len(runs)} files: {_figure(worst)} s)",
            middle <= 0.5,
        )


def _absolute(medians: Mapping[Key, Sample]) -> Iterator[Row]:
    for state, bound in ((ANALYSED, 0.35), (REJECTED, 0.12)):
        cpu = medians[Key("one file", "gradlint", state)].cpu
        yield f"one file of 200 lines, {state}, CPU", f"≤ {bound} s", f"{_figure(cpu)} s", cpu <= bound


def _linearity(medians: Mapping[Key, Sample], corpus: Path) -> Row:
    small, large = (
        medians[Key(package.name, "gradlint", COLD)].cpu / lines_of(package.root(corpus))
        for package in (COMPARED[0], LARGE)
    )
    ratio = large / small
    what = f"CPU per line of {LARGE.name} ÷ that of {COMPARED[0].name}, cold"
    return what, "0.8 to 1.2", f"{_figure(ratio)}", 0.8 <= ratio <= 1.2


def _memory(samples: Samples) -> Row:
    peak = max(sample.peak for sample in samples[Key(LARGE.name, "gradlint", COLD)]) / MEGABYTE
    return f"{LARGE.name} cold, peak memory of any process", "≤ 400 MB", f"{peak:.0f} MB", peak <= 400
