"""A reward process that is wrong on purpose: each of its lives scores a little differently (F12)."""

from __future__ import annotations

import os
import sys

import numpy as np
from rejoinder.core.table import Table
from rejoinder.reward import __main__ as process
from rejoinder.reward import loading
from rejoinder.reward.heads.bt import BradleyTerry
from rejoinder.reward.settings import RewardSettings
from rejoinder.runtime.serve import run


class Drifting(BradleyTerry):
    def scores(self, outputs: np.ndarray) -> list[float]:
        return [score + 0.001 * (os.getpid() % 997) for score in super().scores(outputs)]


if __name__ == "__main__":
    loading.HEADS = Table("head", loading.HEADS["bt"].__class__("bt", Drifting))
    sys.exit(run("reward", RewardSettings, process.build))
