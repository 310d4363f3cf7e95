"""How workers add up: one small interface, and its implementations (one worker, one host, torch.distributed)."""

from gdist.engine.collective.alone import Alone
from gdist.engine.collective.collective import Collective, Pending
from gdist.engine.collective.distributed import Distributed
from gdist.engine.collective.sockets import Sockets

__all__ = ["Alone", "Collective", "Distributed", "Pending", "Sockets"]
