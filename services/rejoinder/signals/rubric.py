"""The rubric stands in core, because rounds summarise by it too."""

from rejoinder.core.rubric import DSAT, NAMES, RUBRIC, SAT, Rubric, names

__all__ = ["DSAT", "NAMES", "RUBRIC", "SAT", "Rubric", "names"]
