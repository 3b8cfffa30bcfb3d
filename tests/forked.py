"""Processes that are forked from the tests': importing torch again takes longer than a test."""

import gc
import os
import socket
import sys
import time
import traceback

import torch


class Forked:
    """A process as subprocess.Popen has it, but forked."""

    def __init__(self, work):
        self.returncode = None
        self.pid = os.fork()
        if not self.pid:
            torch.set_num_threads(1)  # a fork has none of the threads that its parent may have
            gc.freeze()  # a collection would touch, and so copy, all of the memory that is shared
            try:
                work()
                os._exit(0)
            except SystemExit as ending:
                os._exit(ending.code if isinstance(ending.code, int) else int(ending.code is not None))
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)

    def poll(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, seconds=60):
        began = time.monotonic()
        while self.poll() is None:
            assert time.monotonic() - began < seconds, "still there"
            time.sleep(0.02)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)


def pair(work, seconds=60):
    """The status of each of two processes that Lightning takes for those of one run; they do `work(rank)`."""
    port = free_port()

    def join(rank):
        os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1")
        os.environ["MASTER_PORT"] = str(port)
        work(rank)

    both = [Forked(lambda rank=rank: join(rank)) for rank in range(2)]
    try:
        return [process.wait(seconds) for process in both]
    finally:
        for process in both:
            process.send_signal(9)


def together(work, processes, seconds=400, meanwhile=lambda: None):
    """Does `work(number)` in so many processes, which know nothing of each other; what `meanwhile` returned here."""
    forked = [Forked(lambda number=number: work(number)) for number in range(processes)]
    try:
        found = meanwhile()
        assert [process.wait(seconds) for process in forked] == [0] * processes
        return found
    finally:
        for process in forked:
            process.send_signal(9)


def free_port():
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        return port.getsockname()[1]
