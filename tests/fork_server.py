"""Python programs in processes of their own, without the seconds that each takes to import torch and Lightning.

A server imports once what train.py and eval.py do, and forks for each program that it is asked for. The program is then
in a process as a shell starts it: its own session, folder, environment, arguments, standard output and exit status.
The processes that Lightning and torchrun start for a program are asked for in the same way.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import random
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent
MODULES = ["hydra.main", "sklearn.linear_model", "matplotlib.pyplot", "torch.distributed.run"]
MODULES += ["torch.utils.tensorboard", "hydra_plugins", "hydra._internal.core_plugins", "rich.live", "fsspec"]
ADDRESS = "TBE_TEST_FORK_SERVER"
PIDS = "TBE_TEST_PIDS"  # names a folder in which each program writes its process's number, under its LOCAL_RANK


class Program:
    """A program that runs, with what is needed of `subprocess.Popen`; what it writes goes to files."""

    def __init__(self, arguments, env, cwd=None, **streams):
        self.args = arguments
        self.returncode = None
        names = ("stdout", "stderr")
        self.files = {name: streams.get(name) or tempfile.TemporaryFile() for name in names}  # noqa: SIM115
        request = {"arguments": list(map(str, arguments)), "environment": dict(env), "folder": str(cwd or os.getcwd())}
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(os.environ.get(ADDRESS) or address())
        handles = [file.fileno() for file in self.files.values()]
        message = json.dumps(request).encode()
        socket.send_fds(self.connection, [len(message).to_bytes(8, "big")], handles)
        self.connection.sendall(message)
        self.pid = self._hear(None)

    def poll(self):
        if self.returncode is None:
            self.returncode = self._hear(0)
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            self.returncode = self._hear(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout=None):
        self.wait(timeout)
        return tuple(self._content(file) for file in self.files.values())

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def _hear(self, seconds):
        self.connection.settimeout(seconds)
        try:
            heard = self.connection.recv(8, socket.MSG_WAITALL)
        except (BlockingIOError, TimeoutError):
            return None
        if len(heard) < 8:
            raise ChildProcessError("the server of tests/fork_server.py has ended")
        return int.from_bytes(heard, "big", signed=True)

    @staticmethod
    def _content(file):
        file.seek(0)
        return file.read().decode()


def address():
    """Where the server of this process listens; it is started when it is asked for first."""
    place = os.path.join(tempfile.mkdtemp(prefix="tbe_fork_"), "server")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for name in ("LOCAL_RANK", "WORLD_SIZE", "TBE_STAGES"):
        environment.pop(name, None)
    server = subprocess.Popen([sys.executable, __file__, place], env=environment, cwd=ROOT, start_new_session=True)
    while not os.path.exists(place):
        if server.poll() is not None:
            raise ChildProcessError(f"tests/fork_server.py ended with status {server.returncode}")
        time.sleep(0.02)
    os.environ[ADDRESS] = place
    return place


def _serve(place):
    """Listens as long as the process that started this one lives; returns, in a process of its own, each request."""
    parent, listening = os.getppid(), socket.socket(socket.AF_UNIX)
    listening.bind(place + ".begun")
    listening.listen(16)
    listening.settimeout(1)
    os.rename(place + ".begun", place)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks for the status of those who wait for a program
    while os.getppid() == parent:
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            continue
        if not os.fork():
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            connection.settimeout(None)
            request = _follow(connection)
            if request is not None:
                return request
            os._exit(0)
        connection.close()
    os.unlink(place)
    os.rmdir(os.path.dirname(place))
    return None


def _follow(connection):
    """In the program's process its request; in this one None, when the program has ended and its status is told."""
    head, handles, _, _ = socket.recv_fds(connection, 8, 2)
    request = json.loads(connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
    pid = os.fork()
    if not pid:
        connection.close()
        os.setsid()
        for number, handle in enumerate(handles, start=1):
            os.dup2(handle, number)
            os.close(handle)
        return request
    connection.sendall(pid.to_bytes(8, "big", signed=True))
    for handle in handles:
        os.close(handle)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):  # who asked may be gone
        connection.sendall(status.to_bytes(8, "big", signed=True))
    return None


def _run(request):
    """Does what `python <arguments>` does, with a script, or -m and a module."""
    os.chdir(request["folder"])
    place = os.environ[ADDRESS]
    os.environ.clear()
    os.environ.update(request["environment"], **{ADDRESS: place})
    sys.stdin = open(os.devnull)  # noqa: SIM115
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    random.seed()
    if PIDS in os.environ:
        Path(os.environ[PIDS], os.environ.get("LOCAL_RANK", "0")).write_text(str(os.getpid()))
    _ask_here_for_what_is_started()
    first, *rest = request["arguments"]
    if first == "-m":
        sys.argv, sys.path[0] = rest, request["folder"]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = request["arguments"], os.path.dirname(os.path.abspath(first))
        runpy.run_path(first, run_name="__main__")


def _status(request):
    """Runs a program; its exit status, as Python has it."""
    try:
        _run(request)
    except SystemExit as ending:
        if ending.code is None or isinstance(ending.code, int):
            return ending.code or 0
        print(ending.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _end(status):
    """As Python ends, but without freeing object by object what is the server's memory too: that takes seconds."""
    threading._shutdown()  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _ask_here_for_what_is_started():
    from pytorch_lightning.strategies.launchers import subprocess_script
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

    def start(args, env, cwd=None, stdout=None, stderr=None, **others):
        program = args[2:] if args[1] == "-u" else args[1:]  # without this interpreter
        return Program(program, env, cwd, stdout=stdout or sys.stdout, stderr=stderr or sys.stderr)

    subprocess_script.subprocess = SimpleNamespace(Popen=start)
    subprocess_handler.Popen = start
    with suppress(ImportError):
        from joblib.externals.loky.backend import context

        context.set_start_method("fork", force=True)


def main():
    os.environ[ADDRESS] = sys.argv[1]
    ours = [part.name for part in pkgutil.walk_packages([str(ROOT / "tbe")], "tbe.") if "__main__" not in part.name]
    for name in [*ours, *MODULES]:
        importlib.import_module(name)
    gc.freeze()  # or each program's first collection would touch, and so copy, all of the memory that it shares
    request = _serve(sys.argv[1])
    if request is not None:
        _end(_status(request))


if __name__ == "__main__":
    main()
