"""The top words of a text model's topics (HFVAE, Fig. 6, left)."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from hfvae_runner.figures import style

_WIDTH = 14.0


@style.styled
def topic_words(
    names: Sequence[str], information: Sequence[float], coherence: Sequence[float], words: Sequence[Sequence[str]]
) -> Figure:
    """Draw a line for each topic, in the order given: its name, I(x; z_d) as a bar, its coherence and its top words.

    Args:
        names: of the topics.
        information: of each topic, in nats.
        coherence: of each topic, NPMI from -1 to 1.
        words: of each topic.
    """
    figure = style.new_figure(_WIDTH, 1.6 + 0.36 * len(names))
    axes, text = figure.subplots(1, 2, sharey=True, width_ratios=(1, 4.2))
    rows = range(len(names))
    bars = axes.barh(rows, information, color=style.CONTINUOUS, height=0.7)
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=10)
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1.3 * max([*information, 0.01]))
    axes.set(title="Topics", xlabel="I(x; z) / nats")
    axes.tick_params(axis="y", length=0)
    text.set_axis_off()
    text.set_xlim(0, 1)
    text.text(0.0, 1.0, "NPMI", transform=text.transAxes, va="bottom", fontsize=11, color=style.MUTED)
    text.text(0.08, 1.0, "top words", transform=text.transAxes, va="bottom", fontsize=11, color=style.MUTED)
    for row in rows:
        text.text(0.0, row, f"{coherence[row]:.2f}", va="center", fontsize=11)
        # A dollar sign would start a formula.
        text.text(0.08, row, ", ".join(words[row]).replace("$", r"\$"), va="center", fontsize=11)
    return figure
