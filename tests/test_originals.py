"""MNIST and CIFAR-10 from files and from a network, as good and as bad as they come."""

import gzip
import hashlib
import http.server
import io
import multiprocessing
import pickle
import re
import socket
import struct
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, MNIST

from helpers import data, folders, originals
from helpers.problems import Problem

IDX_NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
CIFAR_NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
CIFAR_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


# Small files in the true formats -------------------------------------------------------------------------------------


def idx(values: np.ndarray, magic: int | None = None) -> bytes:
    magic = 0x800 + values.ndim if magic is None else magic
    return struct.pack(f">{values.ndim + 1}I", magic, *values.shape) + values.astype(np.uint8).tobytes()


def small_mnist() -> dict[str, bytes]:
    """20 training and 10 test images, image i filled with the value i, label i % 10."""
    files = {}
    for part, n in (("train", 20), ("t10k", 10)):
        files[f"{part}-images-idx3-ubyte"] = idx(np.arange(n)[:, None, None] * np.ones((1, 28, 28)))
        files[f"{part}-labels-idx1-ubyte"] = idx(np.arange(n) % 10)
    return files


def small_cifar() -> dict[str, bytes]:
    """4 images a batch: red, green and blue plane hold 100, 150 and 200, but pixel (0, 1) of the red one holds 7."""
    row = np.repeat(np.array([100, 150, 200], np.uint8), 1024)
    row[1] = 7
    batch = {"data": np.stack([row] * 4), "labels": [0, 1, 2, 9]}
    files = {name: pickle.dumps(batch, protocol=2) for name in CIFAR_NAMES}
    return files | {"batches.meta": pickle.dumps({"label_names": CIFAR_CLASSES}, protocol=2)}


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def announce_cifar(monkeypatch, files: dict[str, bytes]) -> None:
    """Make torchvision expect the checksums of ``files``."""
    sums = [[name, md5(files[name])] for name in CIFAR_NAMES]
    monkeypatch.setattr(CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(CIFAR10, "test_list", sums[5:6])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums[6][1]})


def packed_mnist() -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in small_mnist().items()}


def packed_cifar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in small_cifar().items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def nobody_there(monkeypatch):
    """No test asks the real servers: every address leads to a port on which nobody listens."""
    with socket.socket() as deaf:  # bound, so that nobody else gets the port meanwhile
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{port}/a/", f"http://127.0.0.1:{port}/b/"])
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{port}/cifar-10-python.tar.gz")
        yield


class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body: bool):
        _, mode, name = self.path.split("/")
        content = self.server.files.get(name)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if with_body and content is not None:
            if mode == "together" and name.startswith("train-images"):
                self.server.both.wait()
            body = {"short": content[: len(content) // 2], "wrong": b"<html>".ljust(len(content))}.get(mode, content)
            self.wfile.write(body[: len(body) // 2])
            if mode == "silent":
                self.server.end.wait(20)
            self.wfile.write(body[len(body) // 2 :])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server on this machine with the packed files, of which torchvision knows the checksums."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.files = {**packed_mnist(), "cifar-10-python.tar.gz": packed_cifar()}
        server.both, server.end = threading.Barrier(2, timeout=15), threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.resources = [(f"{name}.gz", md5(server.files[f"{name}.gz"])) for name in IDX_NAMES]
        monkeypatch.setattr(MNIST, "resources", server.resources)
        monkeypatch.setattr(CIFAR10, "tgz_md5", md5(server.files["cifar-10-python.tar.gz"]))
        announce_cifar(monkeypatch, small_cifar())
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.end.set()
        server.shutdown()


# Real files that are there -------------------------------------------------------------------------------------------


def test_mnist_files_that_are_there_load_without_a_network(tmp_path):
    write(tmp_path / "MNIST" / "raw", small_mnist())
    before = everything_in(tmp_path)
    train, test = data.digits("mnist", folder=tmp_path), data.digits("mnist", train=False, folder=str(tmp_path))
    assert train.images.shape == (20, 1, 28, 28) and test.images.shape == (10, 1, 28, 28)
    assert train.images.dtype == torch.uint8 and train.labels.dtype == torch.int64
    assert train.images[:, 0, 5, 5].tolist() == list(range(20)) and test.labels.tolist() == list(range(10))
    assert train.classes == data.digits().classes
    assert everything_in(tmp_path) == before


def test_the_default_folder_is_data_in_the_work_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    write(folders.work_folder() / "data" / "MNIST" / "raw", small_mnist())
    assert len(data.digits("mnist")) == 20


N20 = np.arange(20) % 10


@pytest.mark.parametrize(
    "name, content, message",
    [
        (IDX_NAMES[0], small_mnist()[IDX_NAMES[0]][:-1], "is cut short or damaged: it has 15,695 bytes"),
        (IDX_NAMES[0], b"", "it has 0 bytes"),
        (IDX_NAMES[0], small_mnist()[IDX_NAMES[0]][:9], "is cut short"),
        (IDX_NAMES[0], idx(np.zeros((20, 28, 28)), magic=0x0D03), "is no IDX file of images"),
        (IDX_NAMES[0], packed_mnist()[IDX_NAMES[0] + ".gz"], "is no IDX file of images"),
        (IDX_NAMES[0], idx(np.zeros((20, 32, 32))), "32 x 32 pixels, not 28 x 28"),
        (IDX_NAMES[1], idx(np.where(N20 == 9, 10, N20)), "holds the label 10"),
        (IDX_NAMES[1], idx(N20)[:-3], "is cut short"),
        (IDX_NAMES[1], idx(np.zeros(0)), "is cut short"),
        (IDX_NAMES[1], idx(np.zeros((20, 28, 28))), "is no IDX file of labels"),
        (IDX_NAMES[1], idx(N20[:19]), "20 images and 19 labels"),
        (IDX_NAMES[2], b"<html>404</html>", "is no IDX file of images"),
    ],
)
def test_a_damaged_mnist_file_is_named_and_left_alone(name, content, message, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    write(raw, small_mnist() | {name: content})
    before = everything_in(tmp_path)
    with pytest.raises(Problem, match=message) as caught:
        data.digits("mnist", folder=tmp_path)
    text = str(caught.value)
    assert name in text and "data.digits()" in text and str(raw) in text
    assert everything_in(tmp_path) == before


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    write(tmp_path / "MNIST" / "raw", {name: small_mnist()[name] for name in IDX_NAMES[1:]})
    (tmp_path / "MNIST" / "raw" / IDX_NAMES[0]).mkdir()
    with pytest.raises(Problem, match=f"{IDX_NAMES[0]} is a folder, not a file"):
        data.digits("mnist", folder=tmp_path)


def test_cifar_files_that_are_there_load_and_stand_upright(monkeypatch, tmp_path):
    files = small_cifar()
    announce_cifar(monkeypatch, files)
    write(tmp_path / "cifar-10-batches-py", files)
    train, test = data.colours("cifar10", folder=tmp_path), data.colours("cifar10", train=False, folder=tmp_path)
    assert train.images.shape == (20, 3, 32, 32) and test.images.shape == (4, 3, 32, 32)
    assert train.images.dtype == torch.uint8 and train.images.is_contiguous() and train.labels.dtype == torch.int64
    assert test.images[0, :, 5, 9].tolist() == [100, 150, 200]
    assert test.images[0, 0, 0, 1] == 7 and test.images[0, 0, 1, 0] == 100
    assert test.labels.tolist() == [0, 1, 2, 9] and test.classes == tuple(CIFAR_CLASSES)


def test_a_damaged_cifar_file_is_named_and_left_alone(monkeypatch, tmp_path):
    files = small_cifar()
    announce_cifar(monkeypatch, files)
    for name, content in (("data_batch_3", files["data_batch_3"][:-5]), ("batches.meta", b"other")):
        write(tmp_path / "cifar-10-batches-py", files | {name: content})
        before = everything_in(tmp_path)
        with pytest.raises(Problem, match=f"{name} is cut short or damaged: its MD5") as caught:
            data.colours("cifar10", folder=tmp_path)
        assert "data.colours()" in str(caught.value) and "test_batch" in str(caught.value)
        assert everything_in(tmp_path) == before


@pytest.mark.parametrize(
    "content, message",
    [
        (b"no pickle", "test_batch cannot be read as a pickle"),
        (pickle.dumps({"data": np.zeros((2, 5), np.uint8), "labels": [0, 1]}), "CIFAR-10 cannot be loaded"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0, 10]}), "labels from 0 to 10"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}), "2 images and 1 labels"),
        (pickle.dumps({"data": np.zeros((2, 3072)), "labels": [0, 1]}), "torch.float64; give a uint8 tensor"),
        (pickle.dumps([1, 2]), "CIFAR-10 cannot be loaded"),
    ],
)
def test_an_unreadable_cifar_batch_is_a_problem(content, message, monkeypatch, tmp_path):
    files = small_cifar() | {"test_batch": content}
    announce_cifar(monkeypatch, files)
    write(tmp_path / "cifar-10-batches-py", files)
    with pytest.raises(Problem, match=message):
        data.colours("cifar10", train=False, folder=tmp_path)


# Downloads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load, name", [(data.digits, "mnist"), (data.colours, "cifar10")])
def test_no_network_is_said_soon_with_the_two_ways_on(load, name, tmp_path):
    before = socket.getdefaulttimeout()
    start = time.perf_counter()
    with pytest.raises(Problem, match="Connection refused|refused") as caught:
        load(name, folder=tmp_path / "new")
    assert time.perf_counter() - start < 10
    files = IDX_NAMES if name == "mnist" else CIFAR_NAMES
    assert all(file in str(caught.value) for file in files)
    assert f"data.{load.__name__}()" in str(caught.value) and str(tmp_path / "new") in str(caught.value)
    assert list((tmp_path / "new").iterdir()) == []
    assert socket.getdefaulttimeout() == before


def test_a_network_that_swallows_everything_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(originals, "_PATIENCE", 0.1)
    monkeypatch.setattr(originals.urllib.request, "urlopen", lambda *_, **__: time.sleep(3))
    start = time.perf_counter()
    with pytest.raises(Problem, match="no answer from"):
        data.digits("mnist", folder=tmp_path)
    assert time.perf_counter() - start < 2.5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["short", "wrong", "silent"])
def test_a_failed_download_leaves_nothing_behind(mode, server, monkeypatch, tmp_path):
    monkeypatch.setattr(originals, "_PATIENCE", 1.0)
    monkeypatch.setattr(MNIST, "mirrors", [f"{server.url}/{mode}/"])
    monkeypatch.setattr(CIFAR10, "url", f"{server.url}/{mode}/cifar-10-python.tar.gz")
    write(tmp_path / "MNIST" / "raw", {IDX_NAMES[3]: small_mnist()[IDX_NAMES[3]], "notes.txt": b"mine"})
    before = everything_in(tmp_path)
    for load, name in ((data.digits, "mnist"), (data.colours, "cifar10")):
        with pytest.raises(Problem, match="Two ways on"):
            load(name, folder=tmp_path)
        assert everything_in(tmp_path) == before
        assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]


def test_an_interrupted_download_leaves_nothing_behind(monkeypatch, server, tmp_path):
    def interrupted(self):
        write(Path(self.raw_folder), {"train-images-idx3-ubyte.gz": b"half", IDX_NAMES[0]: b"a file"})
        raise KeyboardInterrupt

    monkeypatch.setattr(MNIST, "mirrors", [f"{server.url}/whole/"])
    monkeypatch.setattr(MNIST, "download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.digits("mnist", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_download_puts_whole_files_in_place_and_keeps_those_of_the_learner(server, monkeypatch, tmp_path):
    monkeypatch.setattr(MNIST, "mirrors", [f"{server.url}/missing/x", f"{server.url}/whole/"])
    monkeypatch.setattr(CIFAR10, "url", f"{server.url}/whole/cifar-10-python.tar.gz")
    mine = idx(np.full(20, 4))
    write(tmp_path / "MNIST" / "raw", {IDX_NAMES[1]: mine})
    assert data.digits("mnist", folder=tmp_path).labels.tolist() == [4] * 20
    assert data.colours("cifar10", folder=tmp_path).images.shape == (20, 3, 32, 32)
    expected = {str(Path("MNIST", "raw", name)): content for name, content in small_mnist().items()}
    expected[str(Path("MNIST", "raw", IDX_NAMES[1]))] = mine
    expected |= {str(Path("cifar-10-batches-py", name)): content for name, content in small_cifar().items()}
    assert everything_in(tmp_path) == expected


def test_packed_files_that_are_there_are_unpacked_without_a_network(server, tmp_path):
    write(tmp_path / "MNIST" / "raw", packed_mnist())
    write(tmp_path, {"cifar-10-python.tar.gz": packed_cifar()[:-1]})
    assert len(data.digits("mnist", folder=tmp_path)) == 20
    with pytest.raises(Problem, match="cifar-10-python.tar.gz is cut short or damaged"):
        data.colours("cifar10", folder=tmp_path)
    write(tmp_path, {"cifar-10-python.tar.gz": server.files["cifar-10-python.tar.gz"]})
    assert len(data.colours("cifar10", folder=tmp_path)) == 20


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="the test hands its server on by fork"
)
def test_two_processes_at_once_both_succeed(server, monkeypatch, tmp_path):
    """The server holds the first file back until both processes have asked for it."""
    monkeypatch.setattr(MNIST, "mirrors", [f"{server.url}/together/"])
    monkeypatch.setattr(originals, "_PATIENCE", 20.0)
    process = multiprocessing.get_context("fork").Process
    both = [process(target=data.digits, args=("mnist", True, tmp_path), daemon=True) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(timeout=25)
        assert one.exitcode == 0
    assert not server.both.broken
    assert everything_in(tmp_path) == {str(Path("MNIST", "raw", name)): c for name, c in small_mnist().items()}
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]


def test_a_problem_is_one_line_of_reason_and_the_two_ways_on(tmp_path):
    with pytest.raises(Problem) as caught:
        data.digits("mnist", folder=tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[1] == "Two ways on:" and all(re.match(r"- |  \(", line) for line in lines[2:])
