"""The real hub with two learners who have no business with each other, and a visitor without an account.

Accounts, homes, servers, kernels and the proxy are real, so this needs root, and Linux.
"""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import psutil
import pytest
from tornado.httpclient import HTTPClientError

from classroom import hub as parts
from classroom import rehearsal
from helpers import folders
from helpers.folders import ROOT

if reason := rehearsal.why_not():
    if os.environ.get("CI") and rehearsal.is_root():
        raise RuntimeError(f"CI must run this: {reason}")
    pytest.skip(reason, allow_module_level=True)

SECRET = "what b wrote, for nobody else"
OWN_LESSON = "{}"  # b's own file, which bears the name of a lesson


class Room:
    """Two learners, a and b, whose servers and kernels run; and c, who has an account and is not in the class."""

    def __init__(self, runner: asyncio.Runner, group: rehearsal.Class, hub: rehearsal.Hub):
        self.runner, self.hub = runner, hub
        self.account_a, self.account_b, self.account_c = group.accounts
        self.a, self.b = (rehearsal.Learner(hub.address, account) for account in group.accounts[:2])
        self.kernel_a = self.kernel_b = None

    async def open(self) -> None:
        for learner in (self.a, self.b):
            await learner.log_in()
        await asyncio.gather(self.a.start_server(), self.b.start_server())
        _, self.kernel_a = await self.a.open("00_start_here.ipynb")
        _, self.kernel_b = await self.b.open("01_batch_dimension.ipynb")
        await self.code(self.kernel_b, f"open('secret.txt', 'w').write({SECRET!r})")

    async def close(self) -> None:
        for kernel in filter(None, (self.kernel_a, self.kernel_b)):
            kernel.close()
        await self.a.client.aclose()
        await self.b.client.aclose()

    async def code(self, kernel: rehearsal.Kernel, code: str) -> str:
        answer = await kernel.run(code)
        assert not answer.error, answer.error
        return answer.text

    def as_a(self, code: str) -> str:
        """What this code prints in a's kernel."""
        return self.runner.run(self.code(self.kernel_a, code))

    def refused_to_a(self, code: str) -> str:
        """The error that this code, one expression or statement, raises in a's kernel."""
        answer = self.runner.run(self.kernel_a.run(code))
        assert answer.error, f"{code} went through: {answer.text}"
        return answer.error

    def status(self, client: httpx.AsyncClient, method: str, path: str, **given: object) -> tuple[int, str]:
        """The status that a request ends with, after redirects, and the path where it ends."""
        answer = self.runner.run(client.request(method, path, **given))
        return answer.status_code, answer.url.path


def processes_of(account: rehearsal.Account) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["username"]) if process.info["username"] == account.name]


def server_of(account: rehearsal.Account) -> psutil.Process:
    (server,) = (process for process in processes_of(account) if "jupyterhub.singleuser" in process.cmdline())
    return server


def environment_of(process: psutil.Process) -> dict[str, str]:
    return process.environ()


def proxy() -> psutil.Process:
    with_words = psutil.process_iter(["ppid", "cmdline"])  # None for what has ended meanwhile
    (found,) = (
        one for one in with_words if one.info["ppid"] != 1 and parts.PROXY in " ".join((one.info["cmdline"] or [])[1:2])
    )
    return found


@pytest.fixture(scope="module")
def room():
    with asyncio.Runner() as runner, rehearsal.accounts(3) as group:
        b, c = group.accounts[1:]
        subprocess.run(["gpasswd", "--delete", c.name, group.group], check=True, capture_output=True)
        (b.home / "work").mkdir(mode=0o700)
        (b.home / "work" / "00_start_here.ipynb").write_text(OWN_LESSON)
        subprocess.run(["chown", "-R", f"{b.name}:", b.home / "work"], check=True)
        with rehearsal.hub(group, pause=0, memory="3G") as hub:
            found = Room(runner, group, hub)
            try:
                runner.run(found.open())
                yield found
            finally:
                runner.run(found.close())


# What a learner has --------------------------------------------------------------------------------------------------


def test_a_learner_finds_all_lessons_without_outputs_in_a_folder_of_their_own(room):
    lessons = set(folders.lesson_names(folders.lessons_folder()))
    listed = room.runner.run(room.a.ask("GET", "/api/contents/")).json()["content"]
    assert lessons <= {entry["name"] for entry in listed}
    notebook = json.loads((room.account_a.home / "work" / "01_batch_dimension.ipynb").read_text())
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    for path in (room.account_a.home, room.account_a.home / "work", room.account_a.home / "work" / listed[0]["name"]):
        assert path.stat().st_mode & 0o077 == 0 and path.owner() == room.account_a.name


def test_what_a_learner_has_already_is_never_overwritten(room):
    assert (room.account_b.home / "work" / "00_start_here.ipynb").read_text() == OWN_LESSON


def test_the_page_opens_on_lesson_00_and_asks_no_questions(room):
    page = room.runner.run(room.a.client.get(f"{room.a.at}/"))
    assert page.url.path == f"{room.a.at}/lab/tree/00_start_here.ipynb" and page.status_code == 200
    news = room.runner.run(room.a.ask("GET", "/lab/api/settings/@jupyterlab/apputils-extension:notification")).json()
    assert news["schema"]["properties"]["fetchNews"]["default"] == "false"


def test_code_of_the_lessons_finds_its_helpers_its_folder_and_one_thread(room):
    code = "import os, helpers.folders as f; print(f.work_folder(), os.environ['OMP_NUM_THREADS'], os.getcwd())"
    work = str(room.account_a.home / "work")
    assert room.as_a(code).split() == [work, "1", work]


def test_too_much_memory_is_an_error_in_the_cell_and_the_kernel_lives(room):
    assert room.refused_to_a("bytearray(4 * 2**30)").startswith("MemoryError")
    assert room.as_a("print(len(bytearray(2**28)))") == f"{2**28}\n"
    assert room.as_a("import resource; print(resource.getrlimit(resource.RLIMIT_NPROC))") == "(512, 512)\n"
    assert "ValueError" in room.refused_to_a("resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))")


# A learner and another -----------------------------------------------------------------------------------------------

OF_A_SERVER = (
    ("GET", "/"),
    ("GET", "/lab"),
    ("GET", "/api/status"),
    ("GET", "/api/contents/"),
    ("GET", "/api/contents/secret.txt"),
    ("GET", "/files/secret.txt"),
    ("GET", "/nbconvert/html/01_batch_dimension.ipynb"),
    ("GET", "/api/kernels"),
    ("GET", "/api/sessions"),
    ("GET", "/api/terminals"),
    ("GET", "/git-pull/api?repo=x"),
    ("POST", "/api/terminals"),
    ("POST", "/api/kernels"),
    ("PUT", "/api/contents/from_a.txt"),
    ("DELETE", "/api/contents/secret.txt"),
    ("POST", "/api/shutdown"),
)
CLOSED = (401, 403, 404)


def headers(learner: rehearsal.Learner, token: str = "") -> dict[str, str]:
    """What a's own page would send, and more: the proof of a's page, or a's token."""
    return {"Authorization": f"token {token}"} if token else learner.proof(learner.at + "/")


@pytest.mark.parametrize("by", ["cookies", "token"])
def test_a_reaches_nothing_on_the_server_of_b(room, by):
    token = environment_of(server_of(room.account_a))["JUPYTERHUB_API_TOKEN"] if by == "token" else ""
    with_token = httpx.AsyncClient(base_url=room.hub.address, follow_redirects=True, timeout=60)
    client = with_token if token else room.a.client
    assert room.status(client, "GET", f"{room.a.at}/api/contents/", headers=headers(room.a, token))[0] == 200
    body = {"type": "file", "format": "text", "content": "a was here"}
    kernel = ("GET", f"/api/kernels/{room.kernel_b.id}")
    for method, path in (*OF_A_SERVER, kernel, ("DELETE", kernel[1]), ("POST", f"{kernel[1]}/interrupt")):
        given = {"json": body} if method in ("PUT", "POST") else {}
        status, end = room.status(client, method, room.b.at + path, headers=headers(room.a, token), **given)
        assert status in CLOSED, f"{method} {path}: {status} at {end}"
    assert (room.account_b.home / "work" / "secret.txt").read_text() == SECRET
    assert not (room.account_b.home / "work" / "from_a.txt").exists()
    room.runner.run(with_token.aclose())


def test_a_reaches_the_own_kernel_by_websocket_and_not_that_of_b(room):
    room.runner.run(rehearsal.Kernel.connect(room.a, room.kernel_a.id)).close()
    with pytest.raises(HTTPClientError) as refused:
        room.runner.run(rehearsal.Kernel.connect(room.a, room.kernel_b.id, owner=room.account_b.name))
    assert refused.value.code == 403


def test_a_may_ask_the_hub_about_nobody_else(room):
    b, at = room.account_b.name, "/hub/api"
    assert room.status(room.a.client, "GET", f"{at}/users/{room.account_a.name}")[0] == 200
    for method, path in (
        ("GET", f"{at}/users"),
        ("GET", f"{at}/users/{b}"),
        ("POST", f"{at}/users/{b}/tokens"),
        ("DELETE", f"{at}/users/{b}/server"),
        ("POST", f"{at}/users/{b}/server"),
        ("GET", f"{at}/proxy"),
        ("POST", f"{at}/shutdown"),
        ("GET", "/hub/admin"),
        ("GET", f"/hub/spawn/{b}"),
    ):
        status, end = room.status(room.a.client, method, path, headers=room.a.proof("/hub/"))
        assert status in CLOSED, f"{method} {path}: {status} at {end}"
    assert server_of(room.account_b).is_running()


def test_code_of_a_reads_and_writes_nothing_of_b_and_of_the_hub(room):
    b, state = room.account_b.home, room.hub.state
    (connection,) = (b / ".jupyter-run").glob("kernel-*.json")
    assert json.loads(connection.read_text())["transport"] == "ipc"
    for path in (b, b / "work", state, b / ".jupyter-run"):
        assert "PermissionError" in room.refused_to_a(f"import os; os.listdir({str(path)!r})")
    secrets = [
        b / "work" / "secret.txt",
        connection,
        state / "cookie_secret",
        state / "hub.sqlite",
        state / "proxy.pid",
    ]
    for path in secrets:
        assert path.is_file()
        assert "PermissionError" in room.refused_to_a(f"open({str(path)!r})")
    for path in (b / "from_a.txt", b / "work" / "secret.txt", state / "from_a"):
        assert "PermissionError" in room.refused_to_a(f"open({str(path)!r}, 'w')")


def test_code_of_a_cannot_speak_to_the_kernel_of_b(room):
    sockets = sorted((room.account_b.home / ".jupyter-run").glob("kernel-*-ipc-*"))
    assert len(sockets) == 5
    for path in sockets:
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
        assert "PermissionError" in room.refused_to_a(code)
    own = next((room.account_a.home / ".jupyter-run").glob("kernel-*-ipc-1"))
    room.as_a(f"import socket; socket.socket(socket.AF_UNIX).connect({str(own)!r})")


def test_nothing_listens_but_on_this_machine(room):
    everything = [proxy(), proxy().parent(), *processes_of(room.account_a), *processes_of(room.account_b)]
    found = [listening(process) for process in everything]
    assert {ip for ports in found for ip, _ in ports} == {"127.0.0.1"}
    assert [len(ports) for ports in found] == [2, 1, 1, 1, 1, 1]  # the last of each learner is the next test's


def test_the_one_port_of_a_kernel_gives_nothing_and_takes_nothing_from_others(room):
    """It is where processes that a kernel forks send their output; it wants 16 random bytes that only those know."""
    (kernel,) = (one for one in processes_of(room.account_b) if "ipykernel_launcher" in one.cmdline())
    ((_, port),) = listening(kernel)
    assert room.as_a(FORGE.format(port=port)) == "0\n"

    async def messages() -> list[dict]:
        sent = await room.kernel_b.send("shell", "execute_request", {"code": "print('of b')", "silent": False})
        return [one async for one in room.kernel_b.until_done(sent) if one["header"]["msg_type"] == "stream"]

    contents = [message["content"] for message in room.runner.run(messages())]
    assert [one["text"] for one in contents if one["name"] == "stdout"] == ["of b\n"]
    for one in contents:  # what a sent is refused; the kernel says so where b can see it, before or after b's own words
        assert one["name"] == "stdout" or one["text"].startswith("Bad pipe message")


FORGE = """
import json, zmq
context = zmq.Context()
push, listen = context.socket(zmq.PUSH), context.socket(zmq.SUB)
listen.subscribe(b"")
for socket in (push, listen):
    socket.connect("tcp://127.0.0.1:{port}")
parts = [b"stream", b"<IDS|MSG>", b"", b'{{"msg_type": "stream"}}', b"{{}}", b"{{}}", b'{{"text": "of a"}}']
for uuid in (b"", bytes(16)):
    push.send_multipart([uuid, *parts])
print(listen.poll(500))
"""


def test_no_debugger_can_be_switched_on_in_the_page_and_nbgrader_is_out_of_the_way(room):
    page = room.runner.run(room.a.client.get(f"{room.a.at}/lab")).text
    config = json.loads(
        page.partition('<script id="jupyter-config-data" type="application/json">')[2].partition("<")[0]
    )
    assert {"@jupyterlab/debugger-extension", "@jupyter/nbgrader"} <= set(config["disabledExtensions"])


def listening(process: psutil.Process) -> list[tuple[str, int]]:
    return [tuple(one.laddr) for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN]


def test_code_of_a_learns_no_secret_from_other_processes(room):
    server, hub = server_of(room.account_b), proxy().parent()
    secrets = [environment_of(server)["JUPYTERHUB_API_TOKEN"], environment_of(proxy())["CONFIGPROXY_AUTH_TOKEN"]]
    for process in (*processes_of(room.account_b), proxy(), hub):
        for name in ("environ", "mem", "maps"):
            assert "PermissionError" in room.refused_to_a(f"open('/proc/{process.pid}/{name}', 'rb').read()")
        assert "PermissionError" in room.refused_to_a(f"import os; os.kill({process.pid}, 0)")
    code = (
        "from pathlib import Path\nfor path in Path('/proc').glob('[0-9]*/cmdline'):\n"
        "    try: print(path.read_bytes())\n    except OSError: pass\nimport os; print(dict(os.environ))"
    )
    seen = room.as_a(code)
    assert "jupyterhub" in seen and not any(secret in seen for secret in secrets)


def test_code_of_a_gets_no_answer_from_the_port_of_the_server_of_b_nor_from_the_proxy(room):
    ((_, port),) = listening(server_of(room.account_b))
    ask = (
        "import os, urllib.request as u\n"
        "def ask(url):\n    token = os.environ['JUPYTERHUB_API_TOKEN']\n"
        "    return u.urlopen(u.Request(url, headers={'Authorization': f'token {token}'}), timeout=20).status\n"
    )
    own = listening(server_of(room.account_a))[0][1]
    assert room.as_a(f"{ask}print(ask('http://127.0.0.1:{own}{room.a.at}/api/contents/'))") == "200\n"
    for url in (
        f"http://127.0.0.1:{port}{room.b.at}/api/contents/",
        f"http://127.0.0.1:{port}{room.b.at}/files/secret.txt",
        f"{room.hub.inside}/hub/api/users/{room.account_b.name}",
        f"{room.hub.proxy_api}/api/routes",
    ):
        error = room.refused_to_a(f"ask({url!r})")
        assert "HTTP Error 403" in error or "HTTP Error 404" in error, f"{url}: {error}"


# A visitor -----------------------------------------------------------------------------------------------------------


def test_a_visitor_without_an_account_reaches_the_form_and_nothing_else(room):
    visitor = httpx.AsyncClient(base_url=room.hub.address, follow_redirects=True, timeout=60)
    names = [room.account_a.name, room.account_b.name, "nobody"]
    asked = [(method, f"/user/{name}{path}") for name in names for method, path in OF_A_SERVER]
    asked += [("GET", path) for path in ("/", "/hub/", "/hub/home", "/hub/spawn", "/hub/admin", "/hub/token", "/lab")]
    asked += [("GET", f"/hub/api/{path}") for path in ("users", "groups", "proxy", "info", "user", "services")]
    asked += [("GET", f"/hub/api/users/{names[0]}"), ("POST", "/hub/api/shutdown"), ("GET", "/hub/metrics")]
    asked += [("POST", f"/hub/spawn/{names[0]}"), ("POST", f"/hub/api/users/{names[0]}/server")]
    for method, path in asked:
        status, end = room.status(visitor, method, path)
        assert status in CLOSED or (status, end) == (200, "/hub/login"), f"{method} {path}: {status} at {end}"
    version = room.runner.run(visitor.get("/hub/api/"))  # the one thing that JupyterHub tells everybody
    assert list(version.json()) == ["version"]
    for path in ("/api/routes", "/api/routes/user/x", "/"):
        assert httpx.get(room.hub.proxy_api + path, timeout=60).status_code in CLOSED
    assert httpx.delete(f"{room.hub.proxy_api}/api/routes/user/{names[0]}", timeout=60).status_code in CLOSED
    with pytest.raises(HTTPClientError) as refused:
        stranger = rehearsal.Learner(room.hub.address, room.account_c)
        room.runner.run(rehearsal.Kernel.connect(stranger, room.kernel_b.id, owner=names[1]))
    assert refused.value.code == 403
    room.runner.run(visitor.aclose())


@pytest.mark.parametrize("who", ["wrong password", "not in the class", "no such account"])
def test_only_members_of_the_class_get_in_with_their_own_password(room, who):
    wrong = {
        "wrong password": room.account_a._replace(password=room.account_b.password),
        "not in the class": room.account_c,
        "no such account": room.account_a._replace(name="rehearsal-nobody"),
    }
    stranger = rehearsal.Learner(room.hub.address, wrong[who])
    with pytest.raises(RuntimeError, match="cannot log in: Invalid username or password"):
        room.runner.run(stranger.log_in())
    assert room.status(stranger.client, "GET", "/hub/home")[1] == "/hub/login"
    room.runner.run(stranger.client.aclose())


# nbgitpuller ---------------------------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> None:
    who = {
        f"GIT_{role}_{part}": "teacher@example.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")
    }
    subprocess.run(["git", *words], cwd=folder, env=os.environ | who, check=True, capture_output=True)


def test_a_link_of_nbgitpuller_brings_a_repository_and_keeps_the_lines_of_the_learner(room):
    teacher = room.account_a.home / "teachers"  # a path: git takes repositories of other accounts only by the network
    teacher.mkdir()
    (teacher / "task.md").write_text("line 1\nline 2\nline 3\n")
    git(teacher, "init", "--initial-branch=main")
    git(teacher, "add", ".")
    git(teacher, "commit", "-m", "first")

    (link,) = re.findall(r"https://\S+git-pull\S+", (ROOT / "classroom" / "hub.md").read_text(encoding="utf-8"))
    words = dict(parse_qsl(urlsplit(link).query)) | {"repo": f"file://{teacher}"}
    page = room.runner.run(room.a.client.get(urlsplit(link).path, params=words))
    assert page.status_code == 200 and page.url.path == f"{room.a.at}/git-pull" and words["urlpath"] in page.text

    def pull() -> str:
        """What the page that the link opens does by itself."""
        subprocess.run(["chown", "-R", f"{room.account_a.name}:", teacher], check=True)
        return room.runner.run(room.a.ask("GET", "/git-pull/api", params=words)).text

    assert '"phase": "finished"' in pull()
    copy = room.account_a.home / "work" / "tasks" / "task.md"
    assert copy.read_text() == "line 1\nline 2\nline 3\n"
    copy.write_text("line 1\nline 2, mine\nline 3\n")
    (teacher / "task.md").write_text("line 1\nline 2, newer\nline 3\n")
    (teacher / "more.md").write_text("new\n")
    subprocess.run(["chown", "-R", "root:", teacher], check=True)
    git(teacher, "add", ".")
    git(teacher, "commit", "-m", "second")
    assert '"phase": "finished"' in pull()
    assert copy.read_text() == "line 1\nline 2, mine\nline 3\n" and copy.with_name("more.md").read_text() == "new\n"
