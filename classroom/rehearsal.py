"""A class without people: the real hub, accounts for a while, and learners who do in HTTP what a browser would do.

    with rehearsal.accounts(2) as group, rehearsal.hub(group) as running:
        async with rehearsal.Learner(running.address, group.accounts[0]) as learner:
            await learner.log_in()
            await learner.start_server()
            notebook, kernel = await learner.open("01_batch_dimension.ipynb")
            answer = await kernel.run("print('hello')")

It needs root: each learner's server runs under an account of its own, made here and removed at the end.
"""

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import psutil
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from classroom import hub as parts
from helpers.authoring.lab import free_port
from helpers.folders import ROOT
from helpers.problems import Problem

CONFIG = ROOT / "classroom" / "jupyterhub_config.py"
#: In the machine's list of accounts: what an earlier run left, because it was killed, is ours to remove.
MARK = "rehearsal of the course"
PREFIX = "rehearsal-"
GROUP = "rehearsal-class"


def is_root() -> bool:
    return sys.platform.startswith("linux") and os.geteuid() == 0


def why_not() -> str | None:
    """Why no class can be rehearsed here; None if one can."""
    if not is_root() or not shutil.which("useradd"):
        return "it needs root on Linux: each learner's server runs under an account of its own"
    try:
        import jupyterhub  # noqa: F401

        parts.proxy_command()
    except ImportError:
        return "JupyterHub is not installed; run `uv sync --group classroom`"
    except Problem as problem:
        return str(problem)
    return None


# Accounts for a while ------------------------------------------------------------------------------------------------


class Account(NamedTuple):
    name: str
    password: str
    home: Path


def make_account(number: int, group: str, homes: Path) -> Account:
    name, password = f"{PREFIX}{number}", secrets.token_urlsafe(12)
    home = homes / name
    useradd = ["useradd", "--create-home", "--home-dir", home, "--key", "HOME_MODE=0700", "--groups", group]
    subprocess.run([*useradd, "--shell", "/bin/bash", "--comment", MARK, name], check=True, capture_output=True)
    subprocess.run(["chpasswd"], input=f"{name}:{password}", text=True, check=True, capture_output=True)
    return Account(name, password, home)


def ours() -> dict[int, str]:
    """The accounts of rehearsals: user id, name."""
    import pwd  # not everywhere; `why_not` says so first

    return {account.pw_uid: account.pw_name for account in pwd.getpwall() if account.pw_gecos == MARK}


def end_processes() -> list[psutil.Process]:
    """End all that the accounts of rehearsals run: nothing of it is worth a goodbye. They may take a moment to go."""
    accounts = ours()
    running = [process for process in psutil.process_iter() if owner(process) in accounts]
    for process in running:
        with suppress(psutil.Error):
            process.kill()
    return running


def remove_accounts() -> None:
    """End what the accounts of rehearsals still run, and remove them; their homes go with the folder around them.

    What they left in the folder for temporary files goes too: the next accounts may get their numbers.
    """
    psutil.wait_procs(end_processes(), timeout=20)
    accounts = ours()
    for left in Path(tempfile.gettempdir()).iterdir():
        with suppress(OSError):  # somebody else's may go meanwhile
            if left.lstat().st_uid in accounts:
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    for name in accounts.values():
        subprocess.run(["userdel", name], check=True, capture_output=True)
    subprocess.run(["groupdel", "--force", GROUP], capture_output=True)  # it may not be there


def owner(process: psutil.Process) -> int | None:
    with suppress(psutil.Error):
        return process.uids().real
    return None


class Class(NamedTuple):
    folder: Path  #: of the rehearsal: the homes, the hub's own folder and its log; removed at the end
    group: str
    accounts: list[Account]


@contextmanager
def only_one() -> Iterator[None]:
    """Hold a lock: the names of the accounts are the same in every rehearsal."""
    import fcntl  # not everywhere; `why_not` says so first

    with open("/run/course-rehearsal.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RuntimeError("another rehearsal runs on this machine; wait for its end") from None
        yield


@contextmanager
def accounts(count: int) -> Iterator[Class]:
    """So many accounts with homes of their own, in a group of their own, until the block ends.

    Raises RuntimeError if another rehearsal runs on this machine.
    """
    with only_one():
        remove_accounts()  # of a run that was killed
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))  # a short path: sockets take 107 letters
        folder.chmod(0o755)  # the way to the homes, which are closed
        try:
            subprocess.run(["groupadd", GROUP], check=True, capture_output=True)
            yield Class(folder, GROUP, [make_account(number, GROUP, folder) for number in range(1, count + 1)])
        finally:
            remove_accounts()
            shutil.rmtree(folder, ignore_errors=True)


# The hub -------------------------------------------------------------------------------------------------------------


class Hub(NamedTuple):
    address: str  #: of the proxy, which all visitors use
    inside: str  #: of the hub itself
    proxy_api: str  #: where the hub tells the proxy its routes
    state: Path
    log: Path


def python_for_others(folder: Path) -> tuple[str, dict[str, str]]:
    """This environment's Python by a path that every account can use, and what it needs in the environment.

    Where it lies in a closed folder, a copy by hard links takes a second and no space; packages stay where they are.
    """
    if parts.closed_to_others(Path(sys.executable)) is None:
        return sys.executable, {}
    base, prefix = folder / "python", folder / "environment"
    libraries = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    (base / "bin").mkdir(parents=True)
    link(Path(sys.executable).resolve(), base / "bin" / "python3")
    for library in Path(sys.base_prefix, "lib").glob("libpython*"):
        link(library, base / "lib" / library.name)
    left_out = shutil.ignore_patterns("site-packages", "test", "__pycache__")
    shutil.copytree(Path(sys.base_prefix) / libraries, base / libraries, ignore=left_out, copy_function=link)
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(base / "bin" / "python3")
    (prefix / "pyvenv.cfg").write_text(f"home = {base / 'bin'}\ninclude-system-site-packages = false\n")
    for name in ("lib", "share", "etc"):
        if Path(sys.prefix, name).is_dir():
            (prefix / name).symlink_to(Path(sys.prefix, name))
    return str(prefix / "bin" / "python"), {"LD_LIBRARY_PATH": str(base / "lib")}


def link(source: str | Path, target: str | Path) -> None:
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy(source, target)


@contextmanager
def hub(group: Class, pause: float | None = None, memory: str | None = None) -> Iterator[Hub]:
    """The real hub with the course's own configuration, on free ports, until the block ends.

    Raises RuntimeError, with the end of its log, if it does not serve within a minute.
    """
    state, log = group.folder / "state", group.folder / "hub.log"
    address, inside, proxy_api = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    settings = {"STATE": state, "GROUP": group.group, "PAUSE": pause, "MEMORY": memory}
    python, environment = python_for_others(group.folder)
    environment |= os.environ
    environment |= {f"COURSE_HUB_{name}": str(value) for name, value in settings.items() if value is not None}
    command = [python, "-P", "-m", "jupyterhub", "-f", str(CONFIG)]
    command += [f"--JupyterHub.bind_url={address}", f"--JupyterHub.hub_bind_url={inside}"]
    command += [f"--ConfigurableHTTPProxy.api_url={proxy_api}"]
    with open(log, "w") as written:
        process = subprocess.Popen(  # Ctrl-C is ours to answer: the hub is stopped below
            command, cwd="/", env=environment, stdout=written, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        end = time.monotonic() + 60
        while not serves(f"{address}/hub/health"):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the hub does not serve; it said:\n" + log.read_text()[-3000:])
            time.sleep(0.1)
        yield Hub(address, inside, proxy_api, state, log)
    finally:
        end_processes()
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in children:  # none is left, unless the hub had to be killed
            with suppress(psutil.Error):
                child.kill()


def serves(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.HTTPError:
        return False


# A learner -----------------------------------------------------------------------------------------------------------


class Learner:
    """One person with a browser: its cookies, and what a learner does with it. Every failure is a RuntimeError."""

    def __init__(self, address: str, account: Account):
        self.address, self.account = address, account
        self.at = f"/user/{account.name}"
        self.client = httpx.AsyncClient(base_url=address, follow_redirects=True, timeout=300)

    async def __aenter__(self) -> "Learner":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    def cookies_for(self, path: str) -> httpx.Cookies:
        """The cookies that a browser would send to this path."""
        request = self.client.build_request("GET", path)
        return httpx.Cookies(dict(part.split("=", 1) for part in request.headers.get("cookie", "").split("; ") if part))

    def proof(self, path: str) -> dict[str, str]:
        """The header by which JupyterLab shows that its own page sends a request."""
        return {"X-XSRFToken": self.cookies_for(path).get("_xsrf", "")}

    async def log_in(self) -> None:
        await self.client.get("/hub/login")
        form = {"username": self.account.name, "password": self.account.password}
        form["_xsrf"] = self.proof("/hub/login")["X-XSRFToken"]
        answer = await self.client.post("/hub/login", data=form, follow_redirects=False)
        if answer.status_code != 302:
            said = re.search(r'class="login_error">\s*(.*?)\s*<', answer.text)
            raise RuntimeError(f"{self.account.name} cannot log in: {said[1] if said else answer.status_code}")

    async def start_server(self, seconds: float = 600) -> None:
        """Ask for the own server and wait, as on the page that the hub shows, until it answers."""
        end = time.monotonic() + seconds
        answer = await self.client.get("/hub/spawn")
        while not answer.url.path.startswith(self.at):
            if answer.status_code not in (200, 202, 424) or time.monotonic() > end:
                raise RuntimeError(f"no server for {self.account.name}: {answer.status_code} at {answer.url.path}")
            await asyncio.sleep(1)
            answer = await self.client.get(f"/hub/spawn-pending/{self.account.name}")
        if answer.status_code != 200:
            raise RuntimeError(f"{self.account.name}'s server answers {answer.status_code}")

    async def ask(self, method: str, path: str, **given: object) -> httpx.Response:
        """A request to the own server, as JupyterLab sends it; RuntimeError if it fails."""
        answer = await self.client.request(method, f"{self.at}{path}", headers=self.proof(self.at + path), **given)
        if answer.is_error:
            raise RuntimeError(f"{method} {path} of {self.account.name}: {answer.status_code} {answer.text[:300]}")
        return answer

    async def open(self, name: str) -> tuple[dict, "Kernel"]:
        """Open a notebook of the learner's folder: what it holds, and a new kernel for it."""
        notebook = (await self.ask("GET", f"/api/contents/{name}")).json()["content"]
        wanted = {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}}
        session = (await self.ask("POST", "/api/sessions", json=wanted)).json()
        return notebook, await Kernel.connect(self, session["kernel"]["id"])


@dataclass
class Answer:
    """What came of one cell: its outputs as text, and the name of its error, if it raised one."""

    text: str = ""
    error: str = ""


@dataclass
class Kernel:
    """A kernel behind the hub, at the other end of a websocket. `models`: the state of each widget, by comm id."""

    id: str
    socket: object
    session: str = field(default_factory=lambda: uuid.uuid4().hex)
    models: dict[str, dict] = field(default_factory=dict)

    @classmethod
    async def connect(cls, learner: Learner, kernel_id: str, owner: str = "") -> "Kernel":
        """Reach a kernel with the learner's cookies: one of the learner's own server, or of `owner`'s."""
        path = f"/user/{owner or learner.account.name}/api/kernels/{kernel_id}/channels"
        cookies = "; ".join(f"{name}={value}" for name, value in learner.cookies_for(path).items())
        headers = {"Cookie": cookies, "Origin": learner.address}
        address = f"ws://{urlsplit(learner.address).netloc}{path}"
        request = HTTPRequest(address, headers=headers, connect_timeout=120, request_timeout=120)
        return cls(kernel_id, await websocket_connect(request, max_message_size=2**27))

    async def send(self, channel: str, kind: str, content: dict) -> str:
        header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": self.session}
        header |= {"username": "", "version": "5.3"}
        message = {"channel": channel, "header": header, "parent_header": {}, "metadata": {}, "content": content}
        await self.socket.write_message(json.dumps(message))
        return header["msg_id"]

    async def receive(self) -> dict:
        """The next message; widgets' models are kept in step with it. RuntimeError if the connection ended."""
        read = await self.socket.read_message()
        if read is None:
            raise RuntimeError("the connection to the kernel ended")
        if isinstance(read, bytes):  # with buffers: how many parts, where each begins, the message first
            parts_in = int.from_bytes(read[:4], "big")
            begin, *ends = (int.from_bytes(read[4 * place : 4 * place + 4], "big") for place in range(1, parts_in + 1))
            read = read[begin : ends[0] if ends else None]
        message = json.loads(read)
        content, kind = message["content"], message["header"]["msg_type"]
        if kind == "comm_open":
            self.models[content["comm_id"]] = content["data"].get("state", {})
        elif kind == "comm_msg" and content["data"].get("method") == "update":
            self.models.setdefault(content["comm_id"], {}).update(content["data"]["state"])
        elif kind == "status" and content["execution_state"] in ("restarting", "dead"):
            raise RuntimeError("the kernel died")
        return message

    async def run(self, code: str, stop: bool = True) -> Answer:
        """Run one cell to its end. stop: whether an error drops what was sent after it, as JupyterLab does."""
        asked = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        sent = await self.send("shell", "execute_request", asked | {"stop_on_error": stop})
        answer = Answer()
        async for message in self.until_done(sent):
            if message["parent_header"].get("msg_id") != sent:
                continue
            content, kind = message["content"], message["header"]["msg_type"]
            if kind == "stream":
                answer.text += content["text"]
            elif kind in ("execute_result", "display_data"):
                answer.text += content["data"].get("text/plain", "")
            elif kind == "error":
                answer.error = f"{content['ename']}: {content['evalue']}"
        return answer

    async def until_done(self, sent: str, *open_ends: str) -> AsyncIterator[dict]:
        """All messages, of whatever request, until the one that was `sent` has its reply and all its outputs.

        Replies and outputs come by two ways, and either may be first; the last output is followed by "idle".
        open_ends: what is waited for, "reply" and "idle" if nothing is named; a message of a widget has no reply.
        """
        open_ends = set(open_ends or ("reply", "idle"))
        while open_ends:
            message = await self.receive()
            yield message
            if message["parent_header"].get("msg_id") == sent:
                if message["header"]["msg_type"] == "status":
                    open_ends.discard(message["content"]["execution_state"])
                elif message["header"]["msg_type"].endswith("_reply"):
                    open_ends.discard("reply")

    async def move(self, label: str, value: object) -> str:
        """Move the control with this label as the browser does, by a message to its model; the panel's new picture.

        RuntimeError if there is no such control, or no picture changes.
        """
        controls = [place for place, model in self.models.items() if model.get("description") == label]
        if not controls:
            raise RuntimeError(f"no control is labelled {label!r}")
        before = self.pictures()
        data = {"method": "update", "state": {"value": value}, "buffer_paths": []}
        sent = await self.send("shell", "comm_msg", {"comm_id": controls[-1], "data": data})
        async for _ in self.until_done(sent, "idle"):
            pass
        changed = [text for place, text in self.pictures().items() if before.get(place) != text]
        if not changed:
            raise RuntimeError(f"{label} was moved to {value!r}, and no picture changed")
        return changed[0]

    def pictures(self) -> dict[str, str]:
        """The drawings that panels show now, by comm id."""
        return {place: text for place, model in self.models.items() if "<svg" in (text := str(model.get("value", "")))}

    def close(self) -> None:
        self.socket.close()
