"""Run the upkeep of a tickers table in a folder until nothing is due. A test kills it at any moment.

python -m tests.support.programs.ticker_upkeep FOLDER
"""

import sys
from pathlib import Path

from tests.support.ticker_table import LONG_AFTER, OwnTable


def main(folder: str) -> None:
    upkeep = OwnTable(Path(folder)).upkeep()
    while upkeep.look(LONG_AFTER):
        pass


if __name__ == "__main__":
    main(sys.argv[1])
