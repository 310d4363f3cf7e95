"""How workers add up: one small interface, and its implementations (one worker, torch.distributed)."""

from gdist.engine.collective.alone import Alone
from gdist.engine.collective.collective import Collective, Pending
from gdist.engine.collective.distributed import Distributed

__all__ = ["Alone", "Collective", "Distributed", "Pending"]
