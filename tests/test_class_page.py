"""report.html: what it counts, that it says first whether a person is needed, and that nothing in it is executed."""

import re
from html.parser import HTMLParser

import pytest

from grading import class_page
from grading.report import UNSAFE, Marked, Seen, page, verdict

KL, BCE, READ = "test-kl-values", "test-bce-values", "blur"


def student(name: str, kl: float = 2, bce: float = 2, **changes) -> Marked:
    scores = {KL: (kl, 2), BCE: (bce, 2), READ: (0, 4)}
    return Marked(name, auto=kl + bce, auto_max=4, manual_max=4, scores=scores, **changes)


def lost(name: str, sentence: str) -> Marked:
    return student(name, kl=0, sentences={KL: sentence})


class Text(HTMLParser):
    """What a reader sees of a page, and the tags and addresses in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self.addresses = "", set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.text += "\n" if tag in ("p", "td", "li") else ""
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += "" if self.lasttag == "style" else data


def shown(*rows: Marked, shared: tuple[str, ...] = ()) -> Text:
    return Text(class_page.page(Seen(list(rows), list(shared))))


def test_the_first_line_says_whether_a_person_is_needed():
    assert first_lines(shown(student("ada")))[0] == "Nobody is needed: 1 submission marked to the end."
    waiting = Seen([student("ada", waiting=1)], [])
    assert verdict(waiting) == "A person is needed: 1 answer in words to read."
    broken = Marked("cut", remarks=["UNGRADABLE: it is not valid JSON. Fetch a fresh one."], failed=True)
    warned = student("bob", waiting=3, remarks=["SANDBOX: stopped in own-3.", "These cells were put back."])
    told = "A person is needed: 1 submission could not be marked, 2 remarks to look at, 3 answers in words to read."
    seen = shown(student("ada"), warned, broken, shared=("Identical weights: ada, bob.",))
    assert first_lines(seen)[0] == told
    assert "it is not valid JSON. Fetch a fresh one." in seen.text and "Identical weights: ada, bob." in seen.text


def test_without_a_sandbox_that_is_the_first_line_of_all():
    rows = [student("ada"), student("bob", confined=False)]
    assert first_lines(shown(*rows))[:2] == [UNSAFE, "Nobody is needed: 2 submissions marked to the end."]
    assert page(Seen(rows, [])).splitlines()[0] == UNSAFE


def first_lines(seen: Text) -> list[str]:
    return [line.strip() for line in seen.text.splitlines() if line.strip()][1:]  # the first is the title


def test_the_last_line_in_the_terminal_says_it_too():
    rows = [student("ada", waiting=1)]
    assert page(Seen(rows, [])).splitlines()[-1] == verdict(Seen(rows, []))


def test_what_a_student_writes_is_text_and_nothing_is_loaded():
    hostile = student("<script>x</script>", remarks=["SANDBOX: <img src=x onerror=alert(1)>"])
    seen = shown(hostile, lost("eve", "kl_per_image raised <b>: <script>alert(1)</script>"))
    assert not seen.tags & {"script", "img", "b onclick", "iframe", "link", "object"} and seen.addresses == []
    assert "<script>x</script>" in seen.text and "default-src 'none'" in class_page.page(Seen([hostile], []))


def test_a_histogram_counts_every_student_once():
    bars = class_page.histogram([0, 2, 2, 1.5, 3, 3, 3], 3)
    assert [(bar.points, bar.count) for bar in bars] == [("0", 1), ("1", 0), ("1.5", 1), ("2", 2), ("3", 3)]
    assert [bar.share for bar in bars] == pytest.approx([1 / 3, 0, 1 / 3, 2 / 3, 1])


def test_questions_stand_in_the_order_of_tasks_with_their_mean():
    found = class_page.by_question([student("ada"), student("bob", kl=0), student("eve", kl=1)])
    assert [(question.topic, question.of) for question in found] == [
        ("1 · kl_per_image", 2),
        ("1 · bce_per_image", 2),
        ("4 · in words: the blur", 4),
    ]
    assert [question.mean for question in found] == [0.5, 1, 0]


def test_a_named_mistake_is_counted_once_for_each_student_whatever_stands_around_it():
    told = (
        "kl_per_image: Not yet: The ½ is missing.",
        "kl_per_image of the prior itself: Not yet: The ½ is missing.",
        "kl_per_image: Not yet: expected shape (2,), got (). You averaged over the batch; there must be one number per "
        "image.",
        "kl_per_image: You added up over the batch, not over the dimensions: expected shape (batch,) = (3,), got (2,).",
        "kl_per_image: You added up over the batch, not over the dimensions: expected shape (batch,) = (1,), got (5,).",
    )
    named, other = class_page.mistakes([lost(str(k), sentence) for k, sentence in enumerate(told)])
    assert other == []
    assert sorted((one.sentence, one.count, one.share) for one in named) == [
        ("The ½ is missing.", 2, 0.4),
        ("You added up over the batch, not over the dimensions.", 2, 0.4),
        ("You averaged over the batch; there must be one number per image.", 1, 0.2),
    ]
    assert {(one.topic, one.lesson) for one in named} == {("1 · kl_per_image", "02 KL divergence")}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("kl_per_image: Not yet: your 1.23e-05 at index (1,) is too large.", "Your … at index (…,) is too large."),
        ("kl_per_image raised ValueError: my own words (line 3: x)", "raised ValueError"),
        ("Not answered yet. Write your answer in place of this line.", "Not answered yet"),
        (
            "runs/bce.safetensors: test loss 150.2 nats per image; the mean image has 206.0: 77% of the way.",
            "Test loss … nats per image; the mean image has …: … of the way.",
        ),
    ],
)
def test_other_reasons_are_told_apart_from_mistakes_and_without_their_numbers(told, expected):
    named, other = class_page.mistakes([lost("ada", told), lost("bob", told), lost("eve", "Passed.")])
    assert named == [] and [(one.sentence, one.count) for one in other] == [(expected, 2)]


def test_every_mistake_that_the_truths_name_is_recognised():
    import torch

    from course_utils.assignment import truths

    x = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    sentences = [
        *truths.kl_mistakes(x[:, 0, 0], x[:, 0, 1]),
        *truths.bce_mistakes(x, x.round()),
        *truths.sse_mistakes(x, 16),
        *truths.gaussian_mistakes(x, 1 - x, 0.1),
        *truths.variance_of_mean_mistakes(4),
        *truths.flat_mistakes((1, 28, 28), (3, 4)),
        *truths.input_mistakes(torch.zeros(2, 4, 4, 3, dtype=torch.uint8)),
        *truths.spread_mistakes(1.0, 2.0),
    ]
    for sentence in sentences:
        assert class_page.reason(f"an_answer: Not yet: {sentence}") == sentence[:1].upper() + sentence[1:]
        assert class_page.is_named(sentence), sentence


def test_the_time_is_median_and_slowest():
    rows = [student("ada", seconds=3), student("bob", seconds=10), student("eve", seconds=4)]
    assert class_page.times(rows) == "A submission took 4.0 s (median); the slowest, bob, 10.0 s."


def test_nobody_marked_is_a_page_too():
    seen = shown(Marked("cut", remarks=["UNGRADABLE: empty."], failed=True))
    assert "UNGRADABLE: empty." in seen.text and "Questions" not in seen.text


def test_five_hundred_students_are_one_page_of_half_a_megabyte():
    html = class_page.page(Seen([student(f"s{k}", kl=k % 3, waiting=3) for k in range(500)], []))
    assert len(html) < 500_000 and len(re.findall("<tr", html)) >= 500
