"""Information that each latent variable holds about the data (HFVAE, Fig. 5, right)."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hfvae_runner.figures import style


@style.styled
def information_per_factor(
    names: Sequence[str], information: Sequence[float], kl: Sequence[float] | None, discrete: Sequence[bool]
) -> Figure:
    """Bars of I(x; z_d), ranked in ascending order, the discrete variables last; the KL as a marker.

    information, kl: per factor, in nats; discrete: which factors are. kl is None where the prior has no marginals of
    factors.
    """
    order = sorted(range(len(names)), key=lambda factor: (discrete[factor], information[factor]))
    colors = [style.DISCRETE if discrete[factor] else style.CONTINUOUS for factor in order]
    figure = style.new_figure(max(6.5, 2.2 + style.column_width(len(names)) * len(names)), 4.9)
    axes = figure.subplots()
    axes.grid(axis="y")
    axes.bar(range(len(order)), [information[factor] for factor in order], color=colors, width=0.7)
    markers = []
    if kl is not None:
        # The KL to the prior is the information plus the aggregate posterior's own distance from the prior.
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
