"""Image sets: real formats written by the test, a real HTTP server on loopback, every fault named with its cure."""

import errno
import gc
import gzip
import hashlib
import http.server
import os
import pickle
import struct
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_images
from torchvision import datasets

from course_utils import data
from course_utils.data import load
from course_utils.sources import cifar10, download, stand_ins
from course_utils.sources.source import DataUnavailable

rng = np.random.default_rng(0)
DIGITS = {split: rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for split, n in (("train", 12), ("t10k", 5))}
LABELS = {split: rng.integers(0, 10, len(images), dtype=np.uint8) for split, images in DIGITS.items()}
COLOUR = rng.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
COLOUR_LABELS = list(range(6))


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """Every test has its own data folder, hears the stand-in's announcement anew, and must not find the network."""
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "data"))
    data._announce.cache_clear()
    download.connection_problem.cache_clear()
    for name in ("MNIST", "FashionMNIST"):
        monkeypatch.setattr(getattr(datasets, name), "mirrors", ["http://127.0.0.1:9/"])
    unreachable(monkeypatch, "mnist")
    return tmp_path / "data"


def unreachable(monkeypatch, *names, address="http://127.0.0.1:9/"):
    for name in names:
        point_to(monkeypatch, name, address)


def point_to(monkeypatch, name, address):
    changed = {**data.SETS[name].__dict__, "address": address}
    monkeypatch.setitem(data.SETS, name, data.DataSet(**changed))


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(root: Path, folder="MNIST", packed=False, splits=("train", "t10k")) -> Path:
    raw = root / folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for split in splits:
        for kind, array in (("images-idx3", DIGITS[split]), ("labels-idx1", LABELS[split])):
            content, name = idx_bytes(array), f"{split}-{kind}-ubyte"
            (raw / (name + ".gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return raw


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An HTTP server on loopback that serves the folder `served`; requests for what is not there get 404."""
    served = tmp_path / "served"
    served.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = lambda *args: Quiet(*args, directory=str(served))  # noqa: E731
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{httpd.server_port}/"
        point_to(monkeypatch, "mnist", address)
        monkeypatch.setattr(datasets.MNIST, "mirrors", [address])
        yield served
        httpd.shutdown()


def serve_mnist(served: Path, monkeypatch, spoil=None) -> None:
    """The four gz files with their true checksums; `spoil` changes the bytes of each afterwards."""
    raw = write_mnist(served, packed=True)
    resources = []
    for name, _ in datasets.MNIST.resources:
        content = (raw / name).read_bytes()
        resources.append((name, hashlib.md5(content).hexdigest()))
        (served / name).write_bytes(spoil(content) if spoil else content)
    monkeypatch.setattr(datasets.MNIST, "resources", resources)


def left_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) if folder.exists() else []


# --- what is on disk ---


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_plain_or_packed(fresh, name, folder, packed):
    write_mnist(fresh, folder, packed)
    train, test = load(name), load(name, "test")
    assert np.array_equal(train.images[:, 0].numpy(), DIGITS["train"])
    assert train.labels.tolist() == LABELS["train"].tolist()
    assert test.images.shape == (5, 1, 28, 28)
    assert (train.images.dtype, train.labels.dtype, train.bundled) == (torch.uint8, torch.int64, False)
    assert "12 train images" in train.source


def test_one_split_alone_is_enough(fresh):
    write_mnist(fresh, splits=("t10k",))
    assert len(load("mnist", "test")) == 5


def cifar_dict():
    return {"data": COLOUR.reshape(6, -1), "labels": COLOUR_LABELS, "batch_label": "test"}


def write_python_cifar(root):
    (root / "cifar-10-batches-py").mkdir(parents=True)
    (root / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps(cifar_dict(), protocol=2))


def write_binary_cifar(root):
    (root / "cifar-10-batches-bin").mkdir(parents=True)
    records = np.concatenate([np.array(COLOUR_LABELS, np.uint8)[:, None], COLOUR.reshape(6, -1)], axis=1)
    (root / "cifar-10-batches-bin" / "data_batch_1.bin").write_bytes(records.tobytes())


def write_npz_cifar(root):
    root.mkdir(parents=True)
    np.savez(root / "cifar10_train6.npz", images=COLOUR.transpose(0, 2, 3, 1), labels=np.array(COLOUR_LABELS, np.uint8))


@pytest.mark.parametrize("write", [write_python_cifar, write_binary_cifar, write_npz_cifar])
def test_partial_or_mirrored_cifar_is_read_and_named(fresh, write):
    write(fresh)
    train = load("cifar10")
    assert np.array_equal(train.images.numpy(), COLOUR)
    assert train.labels.tolist() == COLOUR_LABELS
    assert train.class_names[3] == "cat"
    assert "6 train images, a partial copy from " in train.source


def test_a_cifar_pickle_that_calls_something_is_refused_and_not_run(fresh, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    write_python_cifar(fresh)
    (fresh / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps({"data": Trap(), "labels": []}))
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(DataUnavailable, match="data_batch_2 is damaged.*UnpicklingError"),
    ):
        patch.setenv("COURSE_DATA", "real")
        load("cifar10")
    assert not (tmp_path / "trapped").exists()


# --- the stand-ins ---


@pytest.mark.parametrize(
    ("name", "sizes", "shape"),
    [
        ("mnist", (1498, 299), (1, 28, 28)),
        ("fashion_mnist", (1498, 299), (1, 28, 28)),
        ("cifar10", (5000, 1000), (3, 32, 32)),
    ],
)
def test_stand_ins_have_the_shape_of_the_real_set(monkeypatch, name, sizes, shape):
    monkeypatch.setenv("COURSE_DATA", "bundled")
    for split, n in zip(("train", "test"), sizes, strict=True):
        images = load(name, split)
        assert images.images.shape == (n, *shape)
        assert images.images.dtype == torch.uint8
        assert images.labels.unique().tolist() == list(range(len(images.class_names)))
        assert images.bundled
        assert "stand-in" in images.source


def test_enlarged_digits_are_the_original_digits():
    images, labels = (
        torch.cat(parts) for parts in zip(*(stand_ins.digits(split)[:2] for split in ("train", "test")), strict=True)
    )
    assert sorted(labels.tolist()) == sorted(load_digits().target.tolist())
    small = torch.nn.functional.adaptive_avg_pool2d(images[:, :, 4:24, 4:24].float() / 255, 4).flatten(1)
    first = torch.tensor(load_digits().images[0], dtype=torch.float32)[None, None] / 16
    distances = (small - torch.nn.functional.adaptive_avg_pool2d(first, 4).flatten(1)).norm(dim=1)
    assert distances.argmin() == 0


def test_patch_labels_mean_what_they_say_and_no_test_pixel_is_in_training():
    photographs = load_sample_images().images
    images, labels, *_ = stand_ins.photograph_patches("test")
    for patch, label in zip(images[::97], labels[::97], strict=True):
        photograph = photographs[int(label) // 2]
        assert (float(patch.double().mean()) > photograph.mean()) == bool(label % 2)
    height = photographs[0].shape[0]
    rows = {split: stand_ins._rows(height, split) for split in ("train", "test")}
    covered = {split: {row + i for row in tops for i in range(32)} for split, tops in rows.items()}
    assert not covered["train"] & covered["test"]


def test_a_stand_in_announces_itself_once_with_reason_and_cure(capsys):
    load("mnist"), load("mnist", "test")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    out = " ".join(out.split())
    assert out.count("Using") == 1
    assert "scikit-learn digits" in out
    assert "in place of MNIST" in out
    assert "no network" in out
    assert "MNIST/raw" in out


# --- what is asked for ---


@pytest.mark.parametrize(
    ("name", "split", "choice", "message"),
    [
        ("mnits", "train", "auto", "Unknown data set 'mnits'. Choose one of: mnist, fashion_mnist, cifar10"),
        ("mnist", "valid", "auto", "Unknown split 'valid'. Choose one of: train, test"),
        ("mnist", "train", "reel", "Unknown COURSE_DATA 'reel'. Choose one of: auto, bundled, real"),
    ],
)
def test_unknown_names_are_refused_in_words(monkeypatch, name, split, choice, message):
    monkeypatch.setenv("COURSE_DATA", choice)
    with pytest.raises(ValueError, match=message):
        load(name, split)


# --- downloads and their faults ---


def test_a_download_is_read_and_kept(fresh, server, monkeypatch):
    serve_mnist(server, monkeypatch)
    assert np.array_equal(load("mnist").images[:, 0].numpy(), DIGITS["train"])
    for file in server.iterdir():
        file.unlink() if file.is_file() else None
    assert not load("mnist", "test").bundled
    assert not [name for name in left_in(fresh) if ".download" in name]


def test_a_cifar_download_is_read(fresh, server, monkeypatch):
    folder = server / "cifar-10-batches-py"
    folder.mkdir()
    files = {
        name: pickle.dumps(cifar_dict(), protocol=2)
        for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    }
    files["batches.meta"] = pickle.dumps({"label_names": list(cifar10.CLASSES)})
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with tarfile.open(server / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(folder, "cifar-10-batches-py")
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{datasets.MNIST.mirrors[0]}cifar-10-python.tar.gz")
    monkeypatch.setattr(
        datasets.CIFAR10, "tgz_md5", hashlib.md5((server / "cifar-10-python.tar.gz").read_bytes()).hexdigest()
    )
    monkeypatch.setattr(
        datasets.CIFAR10, "train_list", [[f"data_batch_{i}", md5[f"data_batch_{i}"]] for i in range(1, 6)]
    )
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(
        datasets.CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": md5["batches.meta"]}
    )
    point_to(monkeypatch, "cifar10", datasets.CIFAR10.url)
    assert load("cifar10").images.shape == (30, 3, 32, 32)
    assert left_in(fresh / "cifar-10-batches-py") == sorted(files)


@pytest.mark.parametrize(
    "spoil",
    [lambda content: b"<html>quota exceeded</html>", lambda content: content[:-20]],
    ids=["html page", "truncated"],
)
def test_a_wrong_archive_leaves_nothing_and_says_so(fresh, server, monkeypatch, capsys, spoil):
    serve_mnist(server, monkeypatch, spoil)
    assert load("mnist").bundled
    assert "the download of MNIST failed" in " ".join(capsys.readouterr().out.split())
    assert left_in(fresh) == []


def test_an_http_error_leaves_nothing_and_says_so(fresh, server, capsys):
    assert load("mnist").bundled
    out = " ".join(capsys.readouterr().out.split())
    assert "the download of MNIST failed" in out
    assert "404" in out
    assert left_in(fresh) == []


def test_real_data_that_cannot_be_had_are_an_error_not_a_stand_in(fresh, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "real")
    with pytest.raises(DataUnavailable, match=r"MNIST is not in .* cannot be downloaded \(no network.*Put the four"):
        load("mnist")


def test_a_silent_server_is_given_up_within_seconds(monkeypatch, capsys):
    import socket
    import time

    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_to(monkeypatch, "mnist", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        monkeypatch.setattr(download, "CONNECT_SECONDS", 1)
        start = time.monotonic()
        assert load("mnist").bundled
        assert time.monotonic() - start < 10
    assert "in place of MNIST" in " ".join(capsys.readouterr().out.split())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the interrupted socket
def test_ctrl_c_during_a_download_leaves_nothing_and_a_retry_works(fresh, server, monkeypatch):
    serve_mnist(server, monkeypatch)
    original, calls = datasets.utils._urlretrieve, []

    def interrupted(url, filename, *args):
        original(url, filename, *args)
        calls.append(url)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(datasets.utils, "_urlretrieve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load("mnist")
    gc.collect()
    assert left_in(fresh) == []
    assert not load("mnist").bundled


def damage_truncate(raw):
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])


def damage_foreign(raw):
    (raw / "train-images-idx3-ubyte").write_bytes(b"<!DOCTYPE html><html></html>")


def damage_empty(raw):
    (raw / "train-labels-idx1-ubyte").write_bytes(b"")


def damage_mixed(raw):
    (raw / "train-labels-idx1-ubyte").write_bytes(idx_bytes(LABELS["t10k"]))


@pytest.mark.parametrize("damage", [damage_truncate, damage_foreign, damage_empty, damage_mixed])
def test_damaged_files_are_named_and_never_taken_for_whole(fresh, monkeypatch, damage):
    damage(write_mnist(fresh))
    monkeypatch.setenv("COURSE_DATA", "real")
    with pytest.raises(
        DataUnavailable, match=r"train-(images|labels)-idx\d-ubyte (is damaged|holds images).*(Delete it|Replace both)"
    ):
        load("mnist")


def test_a_truncated_gz_is_named_and_not_unpacked_by_halves(fresh, monkeypatch):
    raw = write_mnist(fresh, packed=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes((raw / "train-images-idx3-ubyte.gz").read_bytes()[:-20])
    monkeypatch.setenv("COURSE_DATA", "real")
    with pytest.raises(DataUnavailable, match="train-images-idx3-ubyte.gz is damaged"):
        load("mnist")
    assert not (raw / "train-images-idx3-ubyte").exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_disk_that_refuses_gives_one_sentence(fresh, server, monkeypatch, capsys, number):
    serve_mnist(server, monkeypatch)

    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number), str(fresh))

    monkeypatch.setattr(download.tempfile, "mkdtemp" if number == errno.EROFS else "TemporaryDirectory", refuse)
    assert load("mnist").bundled
    out = " ".join(capsys.readouterr().out.split())
    assert os.strerror(number) in out
    assert "Set COURSE_DATA_DIR to a folder that you can write to" in out
    assert left_in(fresh) == []


def test_a_file_in_place_of_the_data_folder_gives_one_sentence(fresh, server, monkeypatch, capsys):
    serve_mnist(server, monkeypatch)
    fresh.write_text("not a folder")
    assert load("mnist").bundled
    assert "Set COURSE_DATA_DIR" in " ".join(capsys.readouterr().out.split())
