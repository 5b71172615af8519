"""Drawn faces: what the factors say is what the pixels show, measured apart from the code that draws them."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score

from course_utils.drawn_faces import drawing, factors, measures
from course_utils.drawn_faces.drawing import draw
from course_utils.drawn_faces.factors import RANGES, SMILE_THRESHOLD, attributes, sample_factors

FACTORS = sample_factors(700, seed=11)
FACES = draw(FACTORS)
BLURRED = gaussian_filter(FACES / np.float32(255), (0, 0, 1.5, 1.5))


def plain(n=1, **values):
    """Faces alike in everything but the given factors."""
    zeros = {field.name: np.zeros(n, dtype=int if field.name in INDICES else float) for field in fields(FACTORS)}
    usual = {"face_width": 1.0, "hair_shade": 1.0, "eye_openness": 0.8, "background_lightness": 0.5, "hair_style": 1}
    given = {name: np.broadcast_to(value, n) for name, value in (usual | values).items()}
    return factors.FaceFactors(**(zeros | given))


INDICES = ("hair_style", "hair_colour", "glasses", "eye_colour")


def test_the_same_seed_gives_the_same_faces_whatever_their_number_at_a_time(monkeypatch):
    factors = sample_factors(50, seed=4)
    again = sample_factors(50, seed=4)
    assert all(np.array_equal(getattr(factors, f.name), getattr(again, f.name)) for f in fields(factors))
    images = draw(factors)
    assert (images.shape, images.dtype) == ((50, 3, 64, 64), np.uint8)
    monkeypatch.setattr(drawing, "CHUNK", 7)
    assert np.abs(images.astype(int) - draw(again)).max() <= 1
    assert not np.array_equal(images, draw(sample_factors(50, seed=5)))


def test_every_factor_has_a_range_that_the_sampler_keeps_and_changes_the_picture():
    assert set(RANGES) == {field.name for field in fields(FACTORS)}
    needs = {"hair_shade": {"hair_colour": 2}, "hat_hue": {"hat": 1}}
    for name, (low, high) in RANGES.items():
        values = getattr(FACTORS, name)
        assert values.min() >= low and values.max() <= high, name
        ends = draw(plain(2, **needs.get(name, {}) | {name: np.array([low, high])}))
        assert np.abs(ends[0].astype(int) - ends[1]).max() > 20, name


@pytest.mark.parametrize(("name", "value"), [("yaw", 1.5), ("hair_style", 9), ("mouth_curvature", np.nan)])
def test_a_factor_out_of_range_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be 1 numbers from "):
        draw(plain(**{name: value}))


def test_a_factor_of_another_length_is_named():
    with pytest.raises(ValueError, match="skin must be 700 numbers"):
        draw(replace(FACTORS, skin=FACTORS.skin[:-1]))


def test_no_faces_are_no_faces():
    assert draw(FACTORS[:0]).shape == (0, 3, 64, 64)


# --- attributes ---


def test_attributes_follow_from_the_factors_of_faces_made_by_hand():
    curls = factors.HAIR_STYLES.index("curls")
    ticked, names = attributes(
        plain(5, hair_style=[0, curls, curls, 3, 0], hat=[0, 0, 1, 0, 1], hair_colour=[2, 2, 2, 0, 0])
    )
    table = dict(zip(names, ticked.T.tolist(), strict=True))
    assert table["Bald"] == [True, False, False, False, False]
    assert table["Blond_Hair"] == [False, True, False, False, False]
    assert table["Wavy_Hair"] == [False, True, False, False, False]
    assert table["Black_Hair"] == table["Bangs"] == [False, False, False, True, False]
    assert table["Wearing_Hat"] == [False, False, True, False, True]
    ticked, names = attributes(plain(2, mouth_curvature=[SMILE_THRESHOLD - 0.01, SMILE_THRESHOLD + 0.01]))
    assert ticked[:, names.index("Smiling")].tolist() == [False, True]


CELEBA_NAMES = """5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair
Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones
Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
Wearing_Necktie Young""".split()


def test_attribute_names_are_those_of_celeba_and_every_one_occurs_and_is_missing_somewhere():
    ticked, names = attributes(FACTORS)
    assert set(names) <= set(CELEBA_NAMES)
    assert (ticked.dtype, ticked.shape) == (bool, (700, len(names)))
    assert ticked.any(axis=0).all() and not ticked.all(axis=0).any()


def test_the_confound_is_there_mild_alone_and_can_be_switched_off():
    def lipstick_gap(correlated):
        ticked, names = attributes(sample_factors(20_000, seed=2, correlated=correlated))
        smiling, lipstick = (ticked[:, names.index(name)] for name in ("Smiling", "Wearing_Lipstick"))
        return lipstick[smiling].mean() - lipstick[~smiling].mean()

    assert 0.22 < lipstick_gap(True) < 0.28
    assert abs(lipstick_gap(False)) < 0.02
    ticked, names = attributes(sample_factors(20_000, seed=2, correlated=False))
    with_smile = np.corrcoef(ticked.T)[names.index("Smiling")]
    assert np.abs(np.delete(with_smile, names.index("Smiling"))).max() < 0.03


@pytest.mark.parametrize(
    ("name", "rows"),
    [("Smiling", (42, 60)), ("Eyeglasses", (24, 42)), ("Wearing_Hat", (0, 30)), ("Blond_Hair", (0, 30))],
)
def test_a_linear_classifier_sees_the_attribute_in_new_faces(name, rows):
    ticked, names = attributes(FACTORS)
    truth, pixels = ticked[:, names.index(name)], FACES[:, :, slice(*rows), 14:50].reshape(700, -1) / 255
    model = RidgeClassifier(alpha=30.0).fit(pixels[:500], truth[:500])
    assert roc_auc_score(truth[500:], model.decision_function(pixels[500:])) > 0.85


# --- measures ---


def test_the_measured_mouth_follows_the_drawn_one():
    measured = measures.mouth_curvature(FACES)
    assert spearmanr(measured, FACTORS.mouth_curvature)[0] > 0.98
    for chosen in (FACTORS.mouth_openness > 0.5, FACTORS.beard > 0, FACTORS.skin > 0.8, np.abs(FACTORS.yaw) > 0.6):
        assert spearmanr(measured[chosen], FACTORS.mouth_curvature[chosen])[0] > 0.95
    assert np.median(np.abs(measured - FACTORS.mouth_curvature)) < 0.1
    assert spearmanr(measures.mouth_curvature(BLURRED), FACTORS.mouth_curvature)[0] > 0.92


def test_the_measured_mouth_rises_with_the_drawn_one_on_nearly_every_single_face():
    steps = np.linspace(-0.7, 1, 6)
    faces = FACTORS[:120]
    series = [draw(replace(faces, mouth_curvature=np.full(120, step))) for step in steps]
    measured = np.stack([measures.mouth_curvature(images) for images in series])
    assert (np.diff(measured, axis=0) > 0).all(axis=0).mean() > 0.95


@pytest.mark.parametrize("images", [FACES, BLURRED], ids=["clean", "blurred"])
def test_other_measures_follow_their_factors(images):
    f, m = FACTORS, {name: measure(images) for name, measure in measures.MEASURES.items()}
    haired = (f.hat == 0) & (f.hair_style > 0)
    assert roc_auc_score(f.glasses > 0, m["glasses"]) > 0.9
    assert roc_auc_score(f.lipstick, m["lip redness"]) > 0.97
    assert spearmanr(m["skin brightness"], -f.skin)[0] > 0.95
    assert spearmanr(m["background brightness"], f.background_lightness)[0] > 0.9
    assert spearmanr(m["background blueness"], f.background_hue)[0] > 0.95
    assert roc_auc_score(f.hair_colour[haired] == 0, m["hair darkness"][haired]) > 0.97


def test_a_wider_smile_moves_the_mouth_and_no_other_measure():
    faces = FACTORS[FACTORS.hat == 0][:200]
    ends = [draw(replace(faces, mouth_curvature=np.full(200, value))) for value in (-0.6, 0.9)]
    for name, measure in measures.MEASURES.items():
        spread = measure(FACES).std()
        shift = abs(np.mean(measure(ends[1]) - measure(ends[0]))) / spread
        assert (shift > 2) if name == "mouth curvature" else (shift < 0.4), (name, shift)


def test_measures_take_tensors_and_floats_alike_and_refuse_other_shapes():
    import torch

    unit = torch.from_numpy(FACES[:5]).float() / 255
    assert np.allclose(measures.mouth_curvature(unit), measures.mouth_curvature(FACES[:5]), atol=1e-4)
    with pytest.raises(ValueError, match=r"in colour, \(n, 3, 64, 64\), got shape \(2, 1, 64, 64\)"):
        measures.mouth_curvature(np.zeros((2, 1, 64, 64)))


def test_a_picture_without_a_mouth_has_curvature_zero():
    assert np.abs(measures.mouth_curvature(np.full((2, 3, 64, 64), 0.5))).max() < 1e-6
