"""Face sets: CelebA and SMILEs in files written by the test, every way in which they come, and every fault named."""

import http.server
import io
import os
import threading
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from course_utils import data
from course_utils.data import load
from course_utils.drawn_faces import factors
from course_utils.drawn_faces.drawing import draw
from course_utils.drawn_faces.factors import attributes, sample_factors
from course_utils.sources import celeba, download, smiles
from course_utils.sources.celeba import write_celeba
from course_utils.sources.source import DataUnavailable

N = 40
FACTORS = sample_factors(N, seed=8)
FACES = draw(FACTORS)
TICKED, NAMES = attributes(FACTORS)
SMILING = TICKED[:, NAMES.index("Smiling")]


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """Every test has its own data folder, hears announcements anew, and must not find the network."""
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(celeba, "CHUNK", 8)
    data._announce.cache_clear()
    download.connection_problem.cache_clear()
    for name in ("celeba", "smiles"):
        point_to(monkeypatch, name, "http://127.0.0.1:9/")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def real(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "real")


def point_to(monkeypatch, name, address, **changes):
    monkeypatch.setitem(data.SETS, name, data.DataSet(**data.SETS[name].__dict__ | {"address": address} | changes))


def close(faces, expected):
    """Whether images are these drawn ones but for two resizings and JPEG."""
    return np.abs(np.asarray(faces, dtype=float) - expected).mean() < 4


def written(fresh, form="txt", folder="celeba"):
    return write_celeba(fresh / folder, FACES, TICKED, NAMES, form=form)


def pictures(root):
    return sorted(root.rglob("*.jpg"))


# --- CelebA ---


@pytest.mark.parametrize(
    ("form", "folder"), [("txt", "celeba"), ("csv", "celeba"), ("csv", "celeba-dataset"), ("csv", "")]
)
def test_celeba_is_read_in_both_forms_with_its_own_partition(fresh, real, form, folder):
    written(fresh, form, folder)
    train, test = load("celeba"), load("celeba", "test")
    assert (len(train), len(test)) == (32, 4)
    assert close(train.images, FACES[:32]) and close(test.images, FACES[36:])
    assert not close(train.images, np.roll(FACES[:32], 1, axis=0))
    assert torch.equal(train.attributes, torch.from_numpy(TICKED[:32]))
    assert (train.attribute_names, train.class_names) == (NAMES, ("not smiling", "smiling"))
    assert train.labels.tolist() == SMILING[:32].tolist()
    assert (train.images.dtype, train.labels.dtype, train.bundled) == (torch.uint8, torch.int64, False)
    assert train.source == "CelebA (32 train images)"


def test_torchvision_reads_what_is_written_as_celeba(fresh, monkeypatch):
    root = written(fresh)
    (root / "identity_CelebA.txt").write_text("".join(f"{i + 1:06d}.jpg 1\n" for i in range(N)))
    for name in ("list_bbox_celeba.txt", "list_landmarks_align_celeba.txt"):
        (root / name).write_text(f"{N}\nx y\n" + "".join(f"{i + 1:06d}.jpg 0 0\n" for i in range(N)))
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda self: True)
    theirs = datasets.CelebA(str(fresh), split="test")
    image, ticked = theirs[1]
    assert (len(theirs), image.size, tuple(theirs.attr_names)) == (4, (178, 218), NAMES)
    assert ticked.bool().tolist() == TICKED[37].tolist()
    middle = np.asarray(image.crop((15, 35, 163, 183)).resize((64, 64), Image.Resampling.BOX)).transpose(2, 0, 1)
    assert close(middle, FACES[37])


def test_the_authors_own_folders_are_found(fresh, real):
    root = written(fresh, folder="CelebA")
    for room, name in (
        ("Anno", "list_attr_celeba.txt"),
        ("Eval", "list_eval_partition.txt"),
        ("Img", "img_align_celeba"),
    ):
        (root / room).mkdir()
        os.replace(root / name, root / room / name)
    assert len(load("celeba")) == 32


def test_the_crop_is_the_middle_and_is_antialiased(tmp_path):
    stripes = np.zeros((218, 178, 3), np.uint8)
    stripes[:, 15:163:2] = 255
    stripes[:35], stripes[183:], stripes[:, :15], stripes[:, 163:] = (9, 200, 9), (9, 200, 9), (9, 200, 9), (9, 200, 9)
    Image.fromarray(stripes).save(tmp_path / "a.png")
    face = celeba._crop(tmp_path / "a.png")
    assert face.shape == (3, 64, 64)
    assert 100 < face[0, 2:-2, 2:-2].min() and face[0].max() < 156
    assert np.array_equal(face[0, 1:-1, 1:-1], face[1, 1:-1, 1:-1])  # nothing of the green frame


def test_missing_and_damaged_images_are_counted_and_named_and_left_out(fresh, real):
    files = pictures(written(fresh))
    for i in (0, 1, 2, 3):
        files[i].unlink()
    files[5].write_bytes(files[5].read_bytes()[:900])
    files[6].write_bytes(b"<html>quota</html>")
    train = load("celeba")
    kept = [4, *range(7, 32)]
    assert "26 train images, without 4 missing (000001.jpg, 000002.jpg, 000003.jpg, ...) and 2 damaged" in train.source
    assert "(000006.jpg, 000007.jpg)" in train.source
    assert close(train.images, FACES[kept])
    assert torch.equal(train.attributes, torch.from_numpy(TICKED[kept]))


def test_no_readable_image_at_all_is_an_error(fresh, real):
    for file in pictures(written(fresh)):
        file.write_bytes(b"")
    with pytest.raises(DataUnavailable, match="none of CelebA's 32 train images can be read"):
        load("celeba")


@pytest.mark.parametrize("how", ["no list", "train only"])
def test_without_an_official_test_the_last_tenth_is_test_and_is_said_to_be(fresh, real, how):
    root = written(fresh)
    (root / "list_eval_partition.txt").unlink() if how == "no list" else None
    for file in pictures(root)[30:]:
        file.unlink()
    train, test = load("celeba"), load("celeba", "test")
    assert (len(train), len(test)) == (27, 3)
    assert close(test.images, FACES[27:30])
    assert "split by position" in train.source and "split by position" in test.source


def test_the_crops_serve_when_the_jpegs_are_gone_and_are_made_anew_when_there_are_more(fresh, real):
    root = written(fresh)
    spare = pictures(root)[3]
    content = spare.read_bytes()
    spare.unlink()
    assert len(load("celeba")) == 31
    spare.write_bytes(content)
    assert len(load("celeba")) == 32
    os.replace(root, fresh.parent / "elsewhere")
    assert len(load("celeba")) == 32
    with pytest.raises(DataUnavailable, match="CelebA is not in .* cannot be downloaded .*Put a folder celeba"):
        load("celeba", "test")


def test_the_array_is_mapped_from_disk_and_writing_to_it_leaves_the_file_alone(fresh, real):
    written(fresh)
    before = load("celeba").images
    file = (fresh / "celeba64" / "train.npy").read_bytes()
    before[:] = 0
    assert (fresh / "celeba64" / "train.npy").read_bytes() == file
    assert sorted(path.name for path in (fresh / "celeba64").iterdir()) == ["train.npy", "train.npz"]


class Interrupted:
    """Stands in for the cropping of one image, and is Ctrl-C at the n-th call."""

    def __init__(self, at):
        self.calls, self.at, self.crop = [], at, celeba._crop

    def __call__(self, path):
        self.calls.append(path.name)
        if len(self.calls) == self.at:
            raise KeyboardInterrupt
        return self.crop(path)


@pytest.mark.parametrize("tear", [0, 5])
def test_ctrl_c_loses_one_chunk_at_most_and_the_next_call_goes_on(fresh, real, monkeypatch, tear):
    pictures(written(fresh))[2].write_bytes(b"damaged")
    whole = Interrupted(None)
    monkeypatch.setattr(celeba, "_crop", Interrupted(20))
    with pytest.raises(KeyboardInterrupt):
        load("celeba")
    assert not (fresh / "celeba64" / "train.npy").exists()
    with (fresh / "celeba64" / ".train.pixels").open("ab") as file:
        file.write(b"x" * tear)  # a chunk whose pixels came, and whose log did not
    monkeypatch.setattr(celeba, "_crop", whole)
    train = load("celeba")
    assert len(whole.calls) == 32 - 16
    assert close(train.images, FACES[[i for i in range(32) if i != 2]])
    assert "1 damaged (000003.jpg)" in train.source


def test_leftovers_of_another_copy_are_not_resumed(fresh, real, monkeypatch):
    root = written(fresh)
    monkeypatch.setattr(celeba, "_crop", Interrupted(20))
    with pytest.raises(KeyboardInterrupt):
        load("celeba")
    monkeypatch.setattr(celeba, "_crop", Interrupted(None))
    pictures(root)[0].unlink()
    assert close(load("celeba").images, FACES[1:32])


@pytest.mark.parametrize("absent", ["list_attr_celeba.txt", "img_align_celeba"])
def test_half_a_copy_says_what_is_absent(fresh, real, absent):
    root = written(fresh)
    os.replace(root / absent, fresh.parent / "away")
    with pytest.raises(DataUnavailable, match="is there, but not .*(list_attr|JPEGs).*Put both into"):
        load("celeba")


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_eval_partition.txt"])
@pytest.mark.parametrize("content", ["", "000001.jpg 1 x\n", "<!DOCTYPE html>", "000001.jpg 1\n000002.jpg\n"])
def test_a_damaged_list_is_named(fresh, real, name, content):
    (written(fresh) / name).write_text(content)
    with pytest.raises(DataUnavailable, match=f"{name} (is damaged|has no column Smiling)"):
        load("celeba")


def test_a_damaged_array_is_named(fresh, real):
    written(fresh)
    load("celeba")
    os.truncate(fresh / "celeba64" / "train.npy", 5000)
    with pytest.raises(DataUnavailable, match="train.npy is damaged"):
        load("celeba")


def test_a_full_disk_is_noticed_before_the_work(fresh, real, monkeypatch):
    written(fresh)
    monkeypatch.setattr(celeba.shutil, "disk_usage", lambda folder: type("usage", (), {"free": 1000}))
    with pytest.raises(DataUnavailable, match="and .*celeba64 has less. Set COURSE_DATA_DIR to a larger disk"):
        load("celeba")


def test_a_refused_download_says_where_to_get_it_and_uses_drawn_faces(fresh, monkeypatch, capsys):
    class Quota(Exception):
        pass

    def refuse(root, download):
        os.mkdir(os.path.join(root, "celeba"))
        raise Quota("Too many users have viewed or downloaded this file recently")

    monkeypatch.setattr(download, "connection_problem", lambda address: "")
    monkeypatch.setattr(datasets, "CelebA", refuse)
    faces = load("celeba", "test")
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("Using") == 1
    for part in (
        "drawn faces in place of CelebA",
        "Too many users",
        "mmlab.ie.cuhk.edu.hk",
        "img_align_celeba",
        str(fresh),
    ):
        assert part in out
    assert faces.bundled and "Smiling" in faces.attribute_names
    assert not list(fresh.iterdir())


# --- SMILEs ---


def grey(n=12, seed=3):
    return np.random.default_rng(seed).integers(90, 160, (n, 64, 64), dtype=np.uint8)


def jpeg_of(face):
    buffer = io.BytesIO()
    Image.fromarray(face).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def zipped(faces, kinds, extra=()):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i, (face, kind) in enumerate(zip(faces, kinds, strict=True)):
            archive.writestr(f"SMILEsmileD-master/SMILEs/{kind}s/{kind}s7/{i + 1}.jpg", jpeg_of(face))
        for name, content in extra:
            archive.writestr(name, content)
    return buffer.getvalue()


KINDS = ["positive" if i % 3 == 0 else "negative" for i in range(12)]


def test_an_npz_of_smiles_is_used_as_it_is_and_split_within_each_class(fresh, real):
    faces, smiling = grey(120), np.arange(120) % 4 == 0
    np.savez(fresh / "smiles64.npz", images=faces, smiling=smiling)
    train, test = load("smiles"), load("smiles", "test")
    assert (len(train), len(test)) == (100, 20)
    assert (int(train.labels.sum()), int(test.labels.sum())) == (25, 5)
    together = np.concatenate([train.images[:, 0].numpy(), test.images[:, 0].numpy()])
    assert sorted(map(bytes, together)) == sorted(map(bytes, faces))
    where = {bytes(face): flag for face, flag in zip(faces, smiling, strict=True)}
    assert [where[bytes(face)] for face in test.images[:, 0].numpy()] == test.labels.bool().tolist()
    assert (test.attribute_names, test.attributes[:, 0].tolist()) == (("Smiling",), test.labels.bool().tolist())
    assert "SMILEs (100 train images, of a copy that holds 120 of 13,165 faces)" in train.source


def test_the_archive_put_there_by_hand_is_packed_once(fresh, real):
    faces = np.stack([np.full((64, 64), 15 * i + 20, np.uint8) for i in range(12)])
    (fresh / "SMILEsmileD-master.zip").write_bytes(
        zipped(faces, KINDS, [("../../evil.jpg", b"x"), ("README", b"hello")])
    )
    train = load("smiles")
    test = load("smiles", "test")
    values = {int(face[0, 0, 0]): int(label) for part in (train, test) for face, label in zip(part.images, part.labels)}
    for i, kind in enumerate(KINDS):
        assert any(abs(value - 15 * i - 20) <= 2 and label == (kind == "positive") for value, label in values.items())
    (fresh / "SMILEsmileD-master.zip").unlink()
    assert len(load("smiles")) == len(train)
    assert [path.name for path in fresh.iterdir()] == ["smiles64.npz"]
    assert not (fresh.parent.parent / "evil.jpg").exists()


def spoiled(name):
    good = zipped(grey(), KINDS)
    return {
        "cut short": good[:-200],
        "html": b"<html>rate limit</html>",
        "another archive": zipped(grey(0), []),
        "one kind": zipped(grey(), ["positive"] * 12),
        "wrong size": zipped(grey()[:, :32], KINDS),
        "giant": zipped(grey(), KINDS, [("m/SMILEs/positives/positives7/99.jpg", jpeg_of(grey(1)[0]) + bytes(70_000))]),
        "not a jpeg": zipped(grey(), KINDS, [("m/SMILEs/positives/positives7/99.jpg", b"0" * 700)]),
    }[name]


SPOILED = ["cut short", "html", "another archive", "one kind", "wrong size", "giant", "not a jpeg"]


@pytest.mark.parametrize("name", SPOILED)
def test_a_wrong_archive_is_named_and_nothing_is_packed(fresh, real, name):
    (fresh / "SMILEsmileD-master.zip").write_bytes(spoiled(name))
    with pytest.raises(DataUnavailable, match="SMILEsmileD-master.zip is damaged, cut short or another kind of file"):
        load("smiles")
    assert [path.name for path in fresh.iterdir()] == ["SMILEsmileD-master.zip"]


@pytest.mark.parametrize(
    "arrays", [{"images": grey()}, {"images": grey(), "smiling": [True] * 11}, {"images": grey(2), "smiling": [0, 0]}]
)
def test_a_wrong_npz_is_named(fresh, real, arrays):
    np.savez(fresh / "smiles64.npz", **arrays)
    with pytest.raises(DataUnavailable, match="smiles64.npz is damaged"):
        load("smiles")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Loopback in GitHub's place; what a test writes to `served/master.zip` is the archive."""
    (tmp_path / "served").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = lambda *args: Quiet(*args, directory=str(tmp_path / "served"))  # noqa: E731
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{httpd.server_port}/master.zip"
        point_to(monkeypatch, "smiles", address)
        monkeypatch.setattr(smiles, "ADDRESS", address)
        yield tmp_path / "served" / "master.zip"
        httpd.shutdown()


def test_smiles_are_downloaded_checked_and_kept_as_one_file(fresh, server, real):
    server.write_bytes(zipped(grey(), KINDS))
    assert len(load("smiles")) == 11  # the sixth not smiling is test
    assert [path.name for path in fresh.iterdir()] == ["smiles64.npz"]
    server.unlink()
    assert load("smiles").images.shape[1:] == (1, 64, 64)


@pytest.mark.parametrize("name", ["html", "cut short", "missing", "too much"])
def test_a_failed_download_leaves_nothing_and_grey_drawn_faces_stand_in(fresh, server, monkeypatch, capsys, name):
    if name == "too much":
        monkeypatch.setattr(smiles, "MOST_ARCHIVE_BYTES", 1000)
    if name != "missing":
        server.write_bytes(zipped(grey(), KINDS) if name == "too much" else spoiled(name))
    faces = load("smiles", "test")
    assert "the download of SMILEs failed" in " ".join(capsys.readouterr().out.split())
    assert not list(fresh.iterdir())
    assert faces.bundled and faces.images.shape == (1000, 1, 64, 64)


# --- drawn faces ---


def test_drawn_faces_by_their_own_name_announce_nothing(capsys):
    faces = load("drawn_faces", "test")
    assert (faces.images.shape, faces.images.dtype) == ((1000, 3, 64, 64), torch.uint8)
    assert torch.equal(faces.labels.bool(), faces.attributes[:, faces.attribute_names.index("Smiling")])
    assert np.array_equal(faces.images[:5].numpy(), draw(factors.split_factors("test")[:5]))
    assert capsys.readouterr().out == ""
    assert faces.source == "drawn faces (1,000 test images)"


def test_in_the_laboratory_seven_things_vary_and_the_labels_stay():
    faces, plain = load("drawn_laboratory", "test"), load("drawn_faces", "test")
    free = factors.split_factors("test")
    still = factors.held_still(free)
    varying = {name for name in factors.RANGES if len(set(getattr(still, name).tolist())) > 1}
    hidden = {"hat_hue"}  # of a hat that nobody wears
    face = {"mouth_curvature", "lipstick", "glasses", "skin", "hair_colour"}
    assert varying - hidden == face | {"background_hue", "background_lightness"}
    assert np.array_equal(free.mouth_curvature, still.mouth_curvature)
    assert np.array_equal(faces.images[:5].numpy(), draw(still[:5]))
    assert torch.equal(faces.labels, plain.labels)
    assert faces.source == "drawn faces of the laboratory (1,000 test images)"


def test_no_test_face_is_a_training_face():
    train, test = (factors.split_factors(split) for split in ("train", "test"))
    assert len(train) == 6000 and not set(train.skin) & set(test.skin)


def test_grey_faces_are_the_coloured_ones_in_pillows_grey(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "bundled")
    monkeypatch.setitem(factors.SPLIT_SIZES, "test", 20)
    factors.split_factors.cache_clear(), data.drawn.cache_clear(), data.drawn_grey.cache_clear()
    coloured, plain = load("celeba", "test").images, load("smiles", "test").images
    factors.split_factors.cache_clear(), data.drawn.cache_clear(), data.drawn_grey.cache_clear()
    theirs = [np.asarray(Image.fromarray(face.permute(1, 2, 0).numpy()).convert("L")) for face in coloured]
    assert np.abs(plain[:, 0].numpy().astype(int) - np.stack(theirs)).max() <= 1
