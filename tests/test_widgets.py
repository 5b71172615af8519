"""The explorer without a browser: sliders are set as a hand would, pictures are read back from their bytes."""

import base64
import re
from io import BytesIO

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from course_utils.widgets import animation, latent_explorer, plot_sliders, pointer_map, smile_slider


def pixels(picture) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(picture.value)).convert("RGB"), dtype=int)


def brightness(z):
    """A decoder whose image tells its z: left half z[0], right half z[1], both from [-3, 3] to [0, 1]."""
    halves = np.repeat((z[:, :2] + 3) / 6, 2, axis=1)
    return np.broadcast_to(halves[:, None, None], (len(z), 1, 4, 4))


def test_moving_a_slider_redraws_the_decoded_image():
    explorer = latent_explorer(brightness)
    assert pixels(explorer.picture).shape == (280, 280, 3)
    explorer.sliders[0].value, explorer.sliders[1].value = -3.0, 3.0
    drawn = pixels(explorer.picture)
    assert (drawn[:, :140] == 0).all() and (drawn[:, 140:] == 255).all()
    explorer.sliders[1].value = 0.0
    assert set(pixels(explorer.picture)[:, 140:].ravel()) == {128}


def test_other_dimensions_move_around_a_base_that_stays():
    seen = []

    def decode(z):
        seen.append(z.copy())
        return np.zeros((1, 3, 4, 4))

    base = np.array([0.5, 1.0, -1.0, 2.0], np.float32)
    explorer = latent_explorer(decode, base=base, dims=(3, 1))
    assert [slider.description for slider in explorer.sliders] == ["z[3]", "z[1]"]
    explorer.sliders[0].value = -2.0
    assert [z.tolist() for z in seen] == [[[0.5, 1.0, -1.0, 2.0]], [[0.5, 1.0, -1.0, -2.0]]]
    assert seen[0].dtype == np.float32
    assert base.tolist() == [0.5, 1.0, -1.0, 2.0]


def test_the_map_marks_the_place_and_nothing_else():
    codes = np.random.default_rng(0).standard_normal((50, 2))
    explorer = latent_explorer(brightness, codes, np.arange(50) % 3)
    crosses = {}
    for place in ((-2.0, 0.0), (2.0, 0.0), (0.0, 2.0)):
        explorer.sliders[0].value, explorer.sliders[1].value = place
        crosses[place] = pixels(explorer.map)
    left, right, top = crosses.values()
    assert (left != right).any(axis=2).mean() < 0.02
    rows, columns = np.nonzero((left != right).any(axis=2))
    assert len(set(rows)) < 25
    half = left.shape[1] / 2
    assert (columns < half).any() and (columns > half).any()
    assert np.nonzero((top != right).any(axis=2))[0].min() < rows.min()


def test_a_map_without_labels_marks_its_own_corner():
    explorer = latent_explorer(brightness, np.zeros((5, 2)), limit=2.0)
    middle = pixels(explorer.map)
    explorer.sliders[0].value, explorer.sliders[1].value = 2.0, -2.0
    rows, columns = np.nonzero((pixels(explorer.map) != middle).any(axis=2))
    assert rows.max() > 0.7 * len(middle) and columns.max() > 0.9 * len(middle[0])


def test_a_move_decodes_one_code_and_draws_no_figure_anew(monkeypatch):
    seen = []

    def decode(z):
        seen.append(z.shape)
        return brightness(z)

    explorer = latent_explorer(decode, np.zeros((5, 2)), np.arange(5))
    seen.clear()
    monkeypatch.setattr(FigureCanvasAgg, "draw", lambda *args: pytest.fail("matplotlib drew the map again"))
    explorer.sliders[0].value = 1.0
    assert seen == [(1, 2)]


def test_the_smile_slider_decodes_z_plus_alpha_times_the_direction():
    z, direction = np.array([0.0, 1.0]), np.array([1.0, -0.5])
    smile = smile_slider(brightness, z, direction)
    assert (smile.slider.min, smile.slider.max, smile.slider.value) == (-3.0, 3.0, 0.0)
    assert set(pixels(smile.picture)[:, :128].ravel()) == {128}  # alpha = 0: z itself
    smile.slider.value = -3.0
    assert set(pixels(smile.picture)[:, :128].ravel()) == {0}
    smile.slider.value = 2.0
    drawn = pixels(smile.picture)
    assert set(drawn[:, :128].ravel()) == {212} and set(drawn[:, 128:].ravel()) == {128}
    assert z.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("direction", [np.zeros(3), np.zeros((1, 2))])
def test_the_smile_slider_refuses_a_direction_of_another_shape(direction):
    with pytest.raises(ValueError, match=r"one length \(d,\), got \(2,\)"):
        smile_slider(brightness, np.zeros(2), direction)


def test_plot_sliders_draw_anew_what_their_values_say():
    seen = []

    def draw(axes, **values):
        assert not axes.patches  # what was drawn before is gone
        seen.append(values)
        axes.axhspan(-1, 2, color=(values["left"], values["right"], 0))
        axes.set(xlim=(0, 1), ylim=(0, 1))

    box = plot_sliders(draw, left=(0, 1, 0.5), right=(0, 1, 0))
    assert [slider.description for slider in box.sliders] == ["left", "right"]
    for slider in box.sliders:
        slider.value = 1
    assert seen == [{"left": 0.5, "right": 0}, {"left": 1, "right": 0}, {"left": 1, "right": 1}]
    drawn = pixels(box.picture)
    assert drawn[len(drawn) // 2, len(drawn[0]) // 2].tolist() == [255, 255, 0]


def test_a_moved_slider_leaves_the_plot_where_it_was():
    def draw(axes, height):
        axes.plot([0, 1], [0, height])
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="x", title=f"{height:.2f}")

    box = plot_sliders(draw, size=(3.0, 2.0), height=(0, 1, 0.5))
    before = pixels(box.picture)
    box.sliders[0].value = 1
    after = pixels(box.picture)
    assert before.shape == (200, 300, 3)
    changed = (before != after).any(axis=2)
    assert changed.any() and not changed[-40:].any() and not changed[:, :35].any()  # the axes' labels stand still


def test_a_film_holds_every_frame_and_says_what_is_seen():
    frames = np.linspace(0, 1, 3)[:, None, None, None] * np.ones((3, 1, 8, 8))
    page = animation(frames, seen='grey "turns" white', milliseconds=50).data
    (encoded,) = re.findall(r"base64,([^\"]+)", page)
    film = Image.open(BytesIO(base64.b64decode(encoded)))
    assert (film.n_frames, film.size) == (3, (8, 8))
    film.seek(1)
    assert np.asarray(film.convert("L"))[0, 0] == pytest.approx(128, abs=2)
    assert 'alt="grey &quot;turns&quot; white"' in page


def embedded(html: str) -> list[np.ndarray]:
    """The PNGs that a page carries: map and sheet of a pointer map."""
    found = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", html)
    return [np.asarray(Image.open(BytesIO(base64.b64decode(png))).convert("RGB"), dtype=int) for png in found]


def test_a_pointer_map_holds_every_place_decoded_once():
    asked = []

    def decode(z):
        asked.append(z)
        return brightness(z)

    page = pointer_map(decode, np.zeros((4, 2)), np.arange(4), places=3, limit=3.0, side=100).data
    (z,) = asked
    assert z.dtype == np.float32
    assert z.tolist() == [[-2, 2], [0, 2], [2, 2], [-2, 0], [0, 0], [2, 0], [-2, -2], [0, -2], [2, -2]]
    _, sheet = embedded(page)
    assert sheet.shape == (12, 12, 3)
    left, right = sheet[2::4, 0::4, 0] / 255, sheet[2::4, 2::4, 0] / 255  # z[0] and z[1] of every place
    assert np.abs(left - [[1 / 6, 1 / 2, 5 / 6]] * 3).max() < 0.01
    assert np.abs(right - [[5 / 6] * 3, [1 / 2] * 3, [1 / 6] * 3]).max() < 0.01
    assert "-50px -50px / 300% 300%" in page  # without scripts: the middle place


def test_a_pointer_map_draws_all_codes_where_the_pointer_finds_them():
    codes = np.repeat([[1.5, 1.5]], 5_000, axis=0)
    chart, _ = embedded(pointer_map(brightness, codes, np.zeros(5_000, int), ["zero"], side=200).data)
    assert chart.shape == (200, 200, 3)
    rows, columns = np.nonzero(np.ptp(chart, axis=2) > 100)  # what has a colour: dots and their name
    assert abs(rows.mean() - 50) < 4 and abs(columns.mean() - 150) < 4


def test_a_pointer_map_writes_its_title_as_text():
    page = pointer_map(brightness, np.zeros((2, 2)), [0, 1], title='1 < 2 & "so on"').data
    assert page.count("1 &lt; 2 &amp; &quot;so on&quot;") == 2  # above the map, and in its alt text
