"""Bar chart of each latent variable's information about the data (HFVAE, Fig. 5, right)."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hfvae_runner.figures import style


@style.styled
def information_per_factor(
    names: Sequence[str], information: Sequence[float], kl: Sequence[float] | None, discrete: Sequence[bool]
) -> Figure:
    """Draw bars of I(x; z_d) in ascending order, discrete variables last, with the KL as a marker.

    Args:
        names: of the factors.
        information: per factor, in nats.
        kl: per factor, in nats; None if the prior has no marginals of factors.
        discrete: whether each factor is discrete.
    """
    order = sorted(range(len(names)), key=lambda factor: (discrete[factor], information[factor]))
    colors = [style.DISCRETE if discrete[factor] else style.CONTINUOUS for factor in order]
    figure = style.new_figure(max(6.5, 2.2 + style.column_width(len(names)) * len(names)), 4.9)
    axes = figure.subplots()
    axes.grid(axis="y")
    axes.bar(range(len(order)), [information[factor] for factor in order], color=colors, width=0.7)
    markers = []
    if kl is not None:
        # The KL to the prior is the information plus the aggregate posterior's KL to the prior.
        markers = axes.plot(
            range(len(order)), [kl[factor] for factor in order], "D", color=style.INK, markeredgecolor="white",
            markersize=8, clip_on=False, zorder=3, label="KL(q(z|x) ‖ p(z))",
        )  # fmt: skip
    style.name_columns(axes, [names[factor] for factor in order])
    axes.set(title="Information about the data, per latent variable", ylabel="nats per example", ylim=(0, None))
    kinds = [("continuous", style.CONTINUOUS), ("discrete", style.DISCRETE)]
    bars = [Patch(color=color, label=f"I(x; z), {kind}") for kind, color in kinds if color in colors]
    figure.legend(handles=[*bars, *markers], loc="outside lower center", ncols=3, fontsize=11)
    return figure
