"""Figures: what was drawn is read back from the axes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_utils import plotting


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def shown(ax):
    return np.asarray(ax.images[0].get_array())


def test_image_grid_places_every_image_row_by_row(ax):
    images = np.arange(5)[:, None, None, None] / 5 * np.ones((5, 1, 3, 4))
    assert plotting.image_grid(ax, images, columns=3, title="five") is ax
    sheet = shown(ax)
    assert sheet.shape == (2 * 4 - 1, 3 * 5 - 1)
    assert [sheet[0, 0], sheet[0, 5], sheet[0, 10], sheet[4, 0], sheet[4, 5]] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert (sheet[4:, 10:] == 1).all()
    assert ax.get_title() == "five"


def test_image_grid_keeps_colour_and_scales_uint8(ax):
    images = np.zeros((1, 3, 2, 2), np.uint8)
    images[0, 1] = 255
    plotting.image_grid(ax, images)
    assert shown(ax)[0, 0].tolist() == [0, 1, 0]


def test_captions_stand_below_their_images_and_not_on_them(ax):
    plotting.image_grid(ax, np.zeros((4, 1, 6, 6)), columns=2, captions=["a", "b", "c", "d"])
    positions = {text.get_text(): text.get_position() for text in ax.texts}
    cell = 6 + 1 + 2
    assert positions["a"][1] == 6
    assert positions["c"][1] == cell + 6
    assert positions["b"][0] > positions["a"][0]


def test_image_rows_are_named_at_their_height(ax):
    plotting.image_rows(ax, {"original": np.zeros((2, 1, 4, 4)), "reconstruction": np.ones((2, 1, 4, 4))})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["original", "reconstruction"]
    sheet, ticks = shown(ax), ax.get_yticks()
    assert (sheet[int(ticks[0]), 0], sheet[int(ticks[1]), 0]) == (0, 1)
    assert len(ax.get_xticks()) == 0


def test_columns_of_rows_can_be_named(ax):
    row = np.array([0.2, 0.4, 0.6])[:, None, None, None] * np.ones((3, 1, 4, 4))
    plotting.image_rows(ax, {"path": row}, captions=["0", "½", "1"])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "½", "1"]
    assert [shown(ax)[0, int(x)] for x in ax.get_xticks()] == pytest.approx([0.2, 0.4, 0.6])
    np.testing.assert_allclose(ax.get_xticks(), [1.5, 6.5, 11.5], atol=0.5)


def test_wrong_shapes_are_refused_in_words(ax):
    with pytest.raises(ValueError, match=r"Expected images \(n, 1 or 3, h, w\), got shape \(2, 28, 28\)"):
        plotting.image_grid(ax, np.zeros((2, 28, 28)))


def test_loss_curves_are_labelled_in_nats_and_apart_without_colour(ax):
    plotting.loss_curves(ax, {"ours": [3, 2, 1], "theirs": [3, 3, 2]})
    lines = ax.get_lines()
    assert [line.get_label() for line in lines] == ["ours", "theirs"]
    assert lines[0].get_xdata().tolist() == [1, 2, 3]
    assert len({line.get_linestyle() for line in lines}) == 2
    assert "nats per image" in ax.get_ylabel()
    assert ax.get_xlabel() == "epoch"


def test_loss_parts_draw_each_part_on_its_own_axes():
    figure, axes = plt.subplots(1, 2)
    plotting.loss_parts(axes, {"a": {"nll": [2, 1], "kl": [0, 1]}, "b": {"nll": [3, 2], "kl": [1, 1]}})
    assert [ax.get_title() for ax in axes] == ["nll", "kl"]
    assert [line.get_ydata().tolist() for line in axes[1].get_lines()] == [[0, 1], [1, 1]]
    plt.close(figure)


def test_kl_bars_are_sorted_and_inactive_ones_hatched(ax):
    plotting.kl_per_dimension(ax, [0.001, 2.0, 1.0])
    bars = ax.patches
    assert [bar.get_height() for bar in bars] == [2.0, 1.0, 0.001]
    assert [bool(bar.get_hatch()) for bar in bars] == [False, False, True]


def test_the_scatter_names_every_class_at_its_median(ax):
    codes = np.array([[0, 0], [1, 0], [9, 0], [-5, -5], [-5, -4], [-5, -6]], float)
    plotting.latent_scatter(ax, codes, [3, 3, 3, 1, 1, 1], [*"abcdef"], title="apart")
    assert {text.get_text(): text.get_position() for text in ax.texts} == {"d": (1, 0), "b": (-5, -5)}
    one, three = ax.collections
    assert one.get_offsets().tolist() == codes[3:].tolist() and three.get_offsets().tolist() == codes[:3].tolist()
    assert one.get_facecolor().tolist() != three.get_facecolor().tolist()
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("apart", "z[0]", "z[1]")
    assert all(text.get_clip_on() for text in ax.texts)  # a zoomed map leaves no names beside it


def test_the_scatter_draws_some_dots_but_takes_the_median_of_all(ax):
    codes = np.repeat(np.arange(10.0)[:, None], 2, axis=1)
    plotting.latent_scatter(ax, codes, np.zeros(10, int), most=4)
    assert len(ax.collections[0].get_offsets()) == 4
    assert ax.texts[0].get_position() == (4.5, 4.5)


def test_the_scatter_refuses_other_dimensions_in_words(ax):
    with pytest.raises(ValueError, match=r"Expected codes \(n, 2\) and labels \(n,\), got \(4, 20\) and \(4,\)"):
        plotting.latent_scatter(ax, np.zeros((4, 20)), np.zeros(4))


DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]


@pytest.mark.parametrize("eye", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["all cones", "deuteranopia", "protanopia"])
def test_ten_class_colours_stay_apart(eye):
    """Seen through the matrices of Machado, Oliveira and Fernandes (2009), on linear light."""
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in plotting.CLASS_COLOURS])
    assert len(rgb) == 10
    seen = (rgb**2.2 @ np.transpose(eye)).clip(0, 1) ** (1 / 2.2)
    distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert distance[~np.eye(10, dtype=bool)].min() > 0.3


def test_paths_keep_their_points_and_differ_in_style(ax):
    plotting.path_on_scatter(ax, {"0 to 1": [[0, 0], [1, 2]], "2 to 7": [[3, 3], [4, 4]]})
    lines = ax.get_lines()
    assert lines[0].get_xydata().tolist() == [[0, 0], [1, 2]]
    assert len({line.get_linestyle() for line in lines}) == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0 to 1", "2 to 7"]


def test_the_manifold_is_labelled_with_the_coordinates_of_its_edges(ax):
    x, y = np.meshgrid([-1.0, 0.0, 1.0], [2.0, 0.5, -2.0])
    images = np.linspace(0, 0.8, 9)[:, None, None, None] * np.ones((9, 1, 4, 4))
    plotting.manifold(ax, images, np.stack([x.ravel(), y.ravel()], axis=1))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["-1.0", "0.0", "1.0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["2.0", "0.5", "-2.0"]
    sheet = shown(ax)
    rows, columns = ax.get_yticks().astype(int), ax.get_xticks().astype(int)
    np.testing.assert_allclose(sheet[np.ix_(rows, columns)].ravel(), np.linspace(0, 0.8, 9))


def test_a_heat_map_writes_each_number_in_its_cell_readably(ax):
    plotting.heat_map(ax, [[-2.0, 0.1, 0.7], [1.3, -0.4, 5.0]], rows=["a", "b"], columns=list("xyz"), limit=2)
    written = {tuple(text.get_position()): (text.get_text(), text.get_color()) for text in ax.texts}
    assert written[0, 0] == ("-2.00", "white") and written[1, 0] == ("+0.10", "black")
    assert written[2, 1] == ("+5.00", "white") and written[1, 1] == ("-0.40", "black")
    red, _, blue, _ = ax.images[0].cmap(ax.images[0].norm(1.3))
    assert red > blue
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]


def test_a_heat_map_of_another_shape_is_refused_in_words(ax):
    with pytest.raises(ValueError, match=r"shape \(1, 2\), got \(2, 1\)"):
        plotting.heat_map(ax, [[1], [2]], rows=["a"], columns=["x", "y"], limit=1)
