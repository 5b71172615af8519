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
