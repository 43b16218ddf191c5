"""Loss curves as PNG, from a run's own records."""

from __future__ import annotations

from pathlib import Path

from tunesmith.runs.read import RunReader, curve


def plot_loss(reader: RunReader, path: Path) -> Path | None:
    """Training loss (raw and smoothed) and evaluation loss over steps → path. None when nothing was recorded."""
    points = reader.metrics()
    training, evaluation = curve(points, "loss"), curve(points, "eval_loss", smoothing=0.0)
    if not training:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([p.step for p in training], [p.value for p in training], color="#9db8d9", linewidth=1, label="loss")
    axes.plot(
        [p.step for p in training], [p.smoothed for p in training], color="#1f5fa8", linewidth=2, label="loss, smoothed"
    )
    if evaluation:
        steps, values = [p.step for p in evaluation], [p.value for p in evaluation]
        axes.plot(steps, values, color="#d1495b", marker="o", linewidth=1.5, label="evaluation loss")
    axes.set(xlabel="step", ylabel="loss (nats per token)", title=reader.path.name)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    FigureCanvasAgg(figure)
    aside = path.with_name(f".{path.name}.part")
    figure.savefig(aside, format="png")
    aside.replace(path)
    return path
