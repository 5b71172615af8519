"""Pictures to leaf through: one for each step, in order, small, described, and nothing fetched."""

import base64
import re
from io import BytesIO

import numpy as np
from PIL import Image

from course_utils.flip_book import flip_book


def draw(figure, step):
    figure.patch.set_facecolor("white" if step < 5 else "black")


def shown(page):
    return [np.asarray(Image.open(BytesIO(base64.b64decode(data))).convert("RGB")) for data in pictures(page)]


def pictures(page):
    return re.findall(r'src="data:image/png;base64,([^"]+)"', page.data)


def test_there_is_a_picture_for_every_step_and_only_the_first_is_seen():
    page = flip_book(draw, [0, 3, 9], 'The "line" falls.', size=(2.0, 1.0))
    drawn = shown(page)
    assert [picture.shape for picture in drawn] == [(75, 150, 3)] * 3
    assert [set(picture.ravel()) for picture in drawn] == [{255}, {255}, {0}]
    tags = re.findall(r"<img[^>]*>", page.data)
    assert [tag.endswith(" hidden>") for tag in tags] == [False, True, True]
    assert 'alt="The &quot;line&quot; falls. Step 3."' in tags[1]
    assert 'max="2"' in page.data


def test_the_pictures_have_a_palette_and_nothing_is_fetched():
    page = flip_book(draw, [1], "Nothing moves.")
    assert Image.open(BytesIO(base64.b64decode(pictures(page)[0]))).mode == "P"
    assert "http" not in page.data
