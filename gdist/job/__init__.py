"""What a user writes: a job, its parts, and how a file and command-line words become one."""

from gdist.job.callback import Callback
from gdist.job.clipping import Clip
from gdist.job.job import Job
from gdist.job.stopping import Stop

__all__ = ["Callback", "Clip", "Job", "Stop"]
