"""Processes of one calculation: how they find each other, agree, and notice that one of them has died.

Every process makes the same steps, its devices with rows of their own (`nnbf._devices`). The first one reads
what the user wants, builds, writes files and prints. The others hear from it over a connection each: the
files of the run, what it has decided by the clock or because it was asked to stop, and, as the connection
breaks when a process is killed, that it is no longer there.
"""

import contextlib
import io
import json
import math
import os
import queue
import re
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NoReturn

from hamiltonians.errors import InputError

VARIABLE = "NNBF_PROCESSES"
"""Variable of the environment: "1/4@node7:9000" in the second of four processes, the first of which is on
node7; "1" in one that computes alone, whatever the queue says."""
_ASKED = re.compile(r"(\d+)/(\d+)@(.+:\d+)")
_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
_HEAD = struct.Struct(">cQ")
_VALUE, _FOLDER, _END = b"v", b"f", b"e"
_CALLING = 300.0  # seconds until all processes are there
_LEAVING = 10.0  # seconds for the others to end

_crew: "list[_First | _Other]" = []


def asked_for() -> tuple[int, int] | None:
    """Number of this process and of all, where there is to be more than one.

    Raises:
        InputError: The variable is not understood.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if given == "1":
        return None
    if given:
        found = _ASKED.fullmatch(given)
        if found is None or int(found[1]) >= int(found[2]):
            raise InputError(
                f"{VARIABLE} is {given[:60]!r}: give number/processes@host:port, such as 0/2@node7:9000"
            )
        index, count = int(found[1]), int(found[2])
    elif all(name in os.environ for name in _SLURM):  # a step of srun
        index, count = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_NTASKS"])
    else:
        return None
    return (index, count) if count > 1 else None


def join() -> None:
    """Join the processes of this calculation, where there are more, before any device is used.

    Raises:
        InputError: They do not find each other.
    """
    asked = asked_for()
    if asked is None:
        return
    import jax

    index, count = asked
    given = _ASKED.fullmatch(os.environ.get(VARIABLE, "").strip())
    if given is None:
        how: dict[str, Any] = {"local_device_ids": _slurm_devices()}
    else:
        how = {"coordinator_address": given[3], "num_processes": count, "process_id": index}
        how["cluster_detection_method"] = "deactivate"
    try:
        with _deaths_are_ours():
            jax.distributed.initialize(**how, initialization_timeout=int(_CALLING))
        _crew.append(_First(count) if index == 0 else _Other(index, count))
    except (RuntimeError, OSError, ValueError) as error:
        text = " ".join(str(error).split())[:120]
        raise InputError(
            f"the {count} processes of this calculation do not find each other: {text}"
        ) from error


def _slurm_devices() -> list[int] | None:
    """Devices of a task of Slurm: all that it sees, unless several tasks of a node see the same ones."""
    per_node = os.environ.get("SLURM_STEP_TASKS_PER_NODE", os.environ.get("SLURM_TASKS_PER_NODE", ""))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if re.fullmatch(r"1(\(x\d+\))?", per_node) or len(visible) == 1:
        return list(range(len(visible))) if visible[0] else [0]
    return [int(os.environ["SLURM_LOCALID"])]


def count() -> int:
    """Processes of this calculation."""
    return _crew[0].count if _crew else 1


def is_first() -> bool:
    """True in the process that reads, writes and prints, and where there is only one."""
    return not _crew or isinstance(_crew[0], _First)


def agreed[Value: (bool, float, None)](value: Value) -> Value:
    """A number or truth value of the first process, in all of them: what depends on a clock or a signal."""
    if not _crew:
        return value
    return _crew[0].agreed(value)


def send_files(kind: str, place: str, files: Mapping[str, bytes], **more: Any) -> None:
    """Give the others work: the files of a folder, what is to be done with it, and where it is here."""
    if _crew and isinstance(_crew[0], _First):
        _crew[0].send_files({"kind": kind, "place": place, **more}, files)


def next_files() -> tuple[dict[str, Any], dict[str, bytes]] | None:
    """In the others: wait for work; None at the end."""
    assert isinstance(_crew[0], _Other)
    return _crew[0].next_files()


def keep_in(folder: str) -> None:
    """In one of the others: have the folder that it works in removed at its end."""
    _crew[0].scratch = folder


def leave_alone(reason: str) -> None:
    """In one of the others: end at once, unless the first process has ended meanwhile."""
    if not _crew[0].ending:
        print(f"error: a process has broken off: {reason}", file=sys.stderr, flush=True)
        _crew[0].end(1)


def leave(code: int) -> NoReturn:
    """End this process, and with the first one all others that wait for work."""
    _crew[0].leave()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    _crew[0].end(code)


class _Crew:
    """This process among the others."""

    count: int
    place = ""
    """Folder of the run, as the first process calls it."""
    scratch = ""
    """Folder that is removed at the end, however that comes."""
    ending = False

    def lost(self, index: int) -> None:
        """End at once, with a line that says how to go on."""
        if self.ending:
            return
        from nnbf._text import typed

        after = (
            f"{typed('resume', self.place)} goes on from the last checkpoint, in as many processes or fewer"
            if self.place
            else "nothing was written yet: start anew"
        )
        with contextlib.suppress(OSError, ValueError):
            print(f"error: process {index} of {self.count} has ended: {after}", file=sys.stderr, flush=True)
        self.end(1)

    def end(self, code: int) -> NoReturn:
        """End at once; JAX would wait for all processes, also for those that have died."""
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
        os._exit(code)


class _First(_Crew):
    def __init__(self, count: int) -> None:
        self.count = count
        listener = socket.create_server(("", 0), backlog=count)
        listener.settimeout(_CALLING)
        token = secrets.token_hex(16)
        state = _jax_state()
        host = str(state.coordinator_address).rsplit(":", 1)[0]
        state.client.key_value_set("nnbf", json.dumps([host, listener.getsockname()[1], token]))
        self._others: dict[int, socket.socket] = {}
        while len(self._others) < count - 1:
            other, _ = listener.accept()
            other.settimeout(_CALLING)
            with contextlib.suppress(OSError, ValueError):  # somebody else's
                said = json.loads(_received(other, most=200)[1])
                if said[0] == token:
                    self._others[int(said[1])] = other
                    _open(other)
        listener.close()
        for index, other in self._others.items():
            threading.Thread(target=self._watch, args=(index, other), daemon=True).start()

    def agreed(self, value):
        self._tell(_VALUE, json.dumps(value).encode())
        return value

    def send_files(self, what: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        import numpy as np

        self.place = what["place"]
        stream = io.BytesIO()
        names = list(files)
        arrays = {f"file_{k}": np.frombuffer(files[name], np.uint8) for k, name in enumerate(names)}
        head = np.frombuffer(json.dumps({**what, "files": names}).encode(), np.uint8)
        np.savez(stream, head=head, **arrays)  # type: ignore[arg-type]
        self._tell(_FOLDER, stream.getvalue())

    def leave(self) -> None:
        self.ending = True
        with contextlib.suppress(OSError):
            self._tell(_END, b"")
        for other in self._others.values():
            with contextlib.suppress(OSError):
                other.settimeout(_LEAVING)
                while other.recv(1):  # until it is closed
                    pass

    def _tell(self, kind: bytes, content: bytes) -> None:
        for index, other in self._others.items():
            try:
                other.sendall(_HEAD.pack(kind, len(content)) + content)
            except OSError:
                self.lost(index)

    def _watch(self, index: int, other: socket.socket) -> None:
        try:
            said = other.recv(1)  # they say nothing before their end
        except OSError:
            said = b""
        if not said:
            self.lost(index)


class _Other(_Crew):
    def __init__(self, index: int, count: int) -> None:
        self.count = count
        host, port, token = json.loads(
            _jax_state().client.blocking_key_value_get("nnbf", int(1e3 * _CALLING))
        )
        self._first = socket.create_connection((host, port), _CALLING)
        content = json.dumps([token, index]).encode()
        self._first.sendall(_HEAD.pack(_VALUE, len(content)) + content)
        _open(self._first)
        self._said: queue.SimpleQueue = queue.SimpleQueue()
        self._waits = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def agreed(self, value):
        content = self._next(_VALUE)
        if content is None:  # the first process has broken off: the listener ends this one
            threading.Event().wait()
        return json.loads(content or b"null")

    def next_files(self) -> tuple[dict[str, Any], dict[str, bytes]] | None:
        self._waits.set()
        content = self._next(_FOLDER)
        if content is None:
            return None
        from hamiltonians.foreign import read_npz

        self._waits.clear()
        arrays = read_npz(io.BytesIO(content))
        what = json.loads(arrays["head"].tobytes())
        self.place = what["place"]
        return what, {name: arrays[f"file_{k}"].tobytes() for k, name in enumerate(what["files"])}

    def leave(self) -> None:
        self.ending = True

    def _next(self, wanted: bytes) -> bytes | None:
        kind, content = self._said.get()
        if kind == _END:
            return None
        if kind != wanted:
            raise RuntimeError("processes have lost step with each other")
        return content

    def _listen(self) -> None:
        try:
            while True:
                kind, content = _received(self._first)
                self._said.put((kind, content))
                if kind == _END:
                    break
        except OSError:
            self.lost(0)
            return
        self.ending = True
        if not self._waits.wait(_LEAVING):  # it has broken off, and says so itself
            self.end(1)


def _open(connection: socket.socket) -> None:
    """Leave a connection open for as long as both processes live, also through a night without a word."""
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # A machine that loses its power closes nothing: it is asked after 10 s, and given up after 40.
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _received(connection: socket.socket, most: float = math.inf) -> tuple[bytes, bytes]:
    kind, length = _HEAD.unpack(_exactly(connection, _HEAD.size))
    if length > most:
        raise OSError("this is not one of our processes")
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise ConnectionResetError("the other process has gone")
        parts += part
    return bytes(parts)


@contextlib.contextmanager
def _deaths_are_ours() -> Iterator[None]:
    """Let JAX begin without its own answer to the death of a process, which ends the others with a stack.

    Its clients abort when the service that they are connected with has gone. It therefore has a process of
    its own, which outlives the first one for as long as the others need to end.
    """
    from jax._src import distributed

    library = distributed._jax
    client, service = library.get_distributed_runtime_client, library.get_distributed_runtime_service
    try:
        library.get_distributed_runtime_client = partial(
            client, missed_heartbeat_callback=lambda status: None
        )
        library.get_distributed_runtime_service = _Service
        yield
    finally:
        library.get_distributed_runtime_client = client
        library.get_distributed_runtime_service = service


class _Service:
    """JAX's coordination service in a process of its own, which ends some time after this one."""

    def __init__(self, address: str, count: int, **options: Any) -> None:
        words = json.dumps([address, count, options])
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, words, str(2 * _LEAVING)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def shutdown(self) -> None:
        self._process.kill()


_SERVE = """
import json, sys, time
from jax._src.lib import _jax
address, count, options = json.loads(sys.argv[1])
service = _jax.get_distributed_runtime_service(address, count, **options)
sys.stdin.read()  # until the process that began this one has gone
time.sleep(float(sys.argv[2]))
"""


def _jax_state() -> Any:
    from jax._src import distributed

    return distributed.global_state
