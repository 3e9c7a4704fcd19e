"""Imitate `spaces` 0.51 on ZeroGPU without a GPU: each call runs in a forked process, pickled both ways.

As there: the process inherits the page's memory as it is at the fork; closing the generator ends the process
at its next item; an exception comes back as its class name alone; and the seconds are asked of a callable
that gets the arguments of the call.
"""

from __future__ import annotations

import inspect
import multiprocessing
import pickle

import torch


class Refused(Exception):
    """Stand in for gradio.Error."""


class Spaces:
    """Stand in for the module `spaces`.

    Attributes:
        decorated: the name of every decorated function.
        calls: (function name, seconds) of every lease.
        refusal: why no GPU is lent; empty where one is.
    """

    def __init__(self, refused: type[Exception] = Refused) -> None:
        self.refused = refused
        self.decorated, self.calls = [], []
        self.refusal = ""  # why no GPU is lent; empty where one is

    def GPU(self, *, duration):
        """Return the decorator `spaces.GPU(duration=...)`."""

        def decorate(task):
            assert inspect.isgeneratorfunction(task)
            self.decorated.append(task.__name__)

            def lent(*args):
                if self.refusal:
                    raise self.refused(self.refusal)
                self.calls.append((task.__name__, duration(*args)))
                yield from self._in_another_process(task, pickle.dumps(args))

            return lent

        return decorate

    def _in_another_process(self, task, packed: bytes):
        fork = multiprocessing.get_context("fork")
        mine, its = fork.Pipe()
        stop = fork.Event()
        process = fork.Process(target=_run, args=(task, packed, its, stop), daemon=True)
        process.start()
        its.close()
        try:
            while (received := pickle.loads(mine.recv_bytes()))[0] == "item":
                yield received[1]
            if received[0] == "error":
                raise self.refused(received[1])
        finally:
            stop.set()
            while received[0] == "item":
                received = pickle.loads(mine.recv_bytes())
            process.join()


def _run(task, packed: bytes, out, stop) -> None:
    torch.set_num_threads(1)  # OpenMP's other threads did not come along through the fork
    made = task(*pickle.loads(packed))
    try:
        for item in made:
            if stop.is_set():
                made.close()
                break
            out.send_bytes(pickle.dumps(("item", item)))
        out.send_bytes(pickle.dumps(("end",)))
    except Exception as error:
        out.send_bytes(pickle.dumps(("error", type(error).__name__)))
