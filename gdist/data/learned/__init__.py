"""What is learned from the training rows before the first step: fill values, scales, vocabularies, and their use.

To say what: ``recipe.py``; one row group's share: ``moments.py``, ``counts.py``; what came out and its use: ``learned.py``.
"""

from gdist.data.learned.learned import Converted, Learned, LearnedColumn
from gdist.data.learned.recipe import FillWord, Recipe, Rule, Scale, Value

__all__ = ["Converted", "FillWord", "Learned", "LearnedColumn", "Recipe", "Rule", "Scale", "Value"]
