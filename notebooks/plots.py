"""Set the look of the notebooks' plots."""

import matplotlib.pyplot as plt

COLOUR = {"binance": "#D55E00", "kucoin": "#0072B2"}
"""Colour of each exchange. Everybody can tell the two apart: they are from Okabe and Ito's palette."""


def use_look() -> None:
    """Apply the look to all plots that are drawn from now on."""
    plt.rcParams.update(
        {
            "figure.figsize": (9, 4),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "axes.formatter.min_exponent": 4,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "grid.alpha": 0.3,
            "legend.frameon": False,
        }
    )
