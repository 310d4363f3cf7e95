"""A worker's process under Ray: a Member that does what the controller orders, on the process's main thread.

Everything of torch happens on the main thread, where user code may use signals and where the thread pools of torch's kernels
belong; a second thread holds the lease and receives orders. The controller is told what happened by calls that are not
waited for, but for the last.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gdist.cluster.death import start_time
from gdist.cluster.lease import Lease, end_unless_claimed, leave_process
from gdist.cluster.orders import Exit, Join, Order, SaveNow, WishFor
from gdist.cluster.output import capture_output, pipe_path
from gdist.cluster.scratch import enter_scratch
from gdist.cluster.sent_job import unpack_job
from gdist.cluster.verdict import as_gdist
from gdist.records import Update, Wishes

if TYPE_CHECKING:
    from gdist import records
    from gdist.worker.member import Member

TELL_S = 20.0  # for the controller to have heard all that this worker said
KEPT_REFERENCES = 64


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What the driver gives a worker. ``folder``: where the user's command ran; ``threads`` of torch's kernels;
    ``one_machine``: all workers are on this one, so that they meet on loopback."""

    run_id: str
    slot: int
    incarnation: int
    order: records.Order
    made: bytes | None  # what of the order was made in Python: its job, its data (sent_job.py)
    folder: str
    threads: int
    one_machine: bool


class WorkerActor:
    """One worker; detached, never restarted by Ray (its state would be gone)."""

    def __init__(self, post: Assignment) -> None:
        self._post = post
        self._controller: Any = None
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._wishes = Wishes()
        self._said: list[Any] = []
        self._unclaimed = end_unless_claimed()

    def live(self, controller: Any) -> None:
        """The worker's whole life, which ends the process."""
        self._unclaimed.cancel()
        self._controller = controller
        post = self._post
        lease = Lease(
            controller, who=f"worker-{post.slot}", incarnation=post.incarnation, on_order=self._receive, on_lost=self._orphaned
        )
        lease.start()
        self._set_up()
        from gdist.worker.member import make_member

        member = make_member(post.order, slot=post.slot, send=self._send, wishes=self._wishes, threads=post.threads)
        try:
            self._obey(member)
        finally:
            member.leave()
            self._flush()
            lease.close()
        leave_process()

    def _set_up(self) -> None:
        post = self._post
        if os.path.isdir(post.folder):
            os.chdir(post.folder)
        if post.folder not in sys.path:
            sys.path.append(post.folder)
        scratch, self._scratch_lock = enter_scratch(post.run_id)
        capture_output(pipe_path(scratch, post.slot, post.incarnation))
        with contextlib.suppress(OSError):  # an ordinary user may not
            os.setpriority(os.PRIO_PROCESS, 0, 0)  # Ray puts workers 15 below any other program
        os.environ["OMP_NUM_THREADS"] = str(post.threads)  # before torch is imported
        signal.signal(signal.SIGTERM, lambda *_: self._wishes.add("stop", reason=f"worker {post.slot} was asked to terminate"))
        self._report("started", pid=os.getpid(), start_time=start_time(os.getpid()), host=socket.gethostname(), node=_node_id())
        from gdist.worker.dynamo import import_compiler_late
        from gdist.worker.machine import keep_freed_memory

        keep_freed_memory()
        import_compiler_late()

    def _obey(self, member: Member) -> None:
        try:
            if self._post.made is not None:
                member.order = replace(member.order, **unpack_job(self._post.made))
            hello = member.prepare(host=self._reached_at())
        except BaseException as error:
            self._report("failed", error=as_gdist(error).to_dict(), step=0)
        else:
            self._report("hello", **hello)
        while True:
            order = self._orders.get()
            if isinstance(order, Exit):
                return
            if isinstance(order, Join):
                try:
                    member.join(order.membership)
                    result = member.work()
                except BaseException as error:
                    member.leave()  # its peers are free at once
                    self._report("failed", error=as_gdist(error).to_dict(), step=member.step)
                else:
                    self._report("returned", result=result)
            elif isinstance(order, SaveNow):
                try:
                    self._report("saved", step=member.save())
                except BaseException as error:
                    self._report("saved", step=member.step, error=as_gdist(error).to_dict())

    def _reached_at(self) -> str:
        import ray

        address: Any = ray.util.get_node_ip_address
        return "127.0.0.1" if self._post.one_machine else str(address())

    def _receive(self, order: Order) -> None:
        if isinstance(order, WishFor):
            self._wishes.add(order.wish, reason=order.reason)
        else:
            self._orders.put(order)

    def _orphaned(self, reason: str) -> None:
        """Nobody is left to report to: a checkpoint at the next boundary, which training writes as it ends, and out."""
        self._wishes.add("stop", reason=reason)
        self._orders.put(Exit())

    def _send(self, update: Update) -> None:
        self._say(self._controller.tell.remote(self._post.slot, self._post.incarnation, update))

    def _report(self, kind: str, **content: Any) -> None:
        self._say(self._controller.report.remote(self._post.slot, self._post.incarnation, kind, content))

    def _say(self, reference: Any) -> None:
        self._said = [*self._said[1 - KEPT_REFERENCES :], reference]

    def _flush(self) -> None:
        import ray

        if self._said:
            ray.wait(self._said, num_returns=len(self._said), timeout=TELL_S)
        self._said = []


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())
