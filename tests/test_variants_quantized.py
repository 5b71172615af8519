"""The VQ-VAE and its prior, against hand-made codebooks, finite differences and sums over all grids of codes."""

import itertools
import math

import pytest
import torch
from torch.testing import assert_close

from course_utils.batching import to_unit
from course_utils.latent import decode, encode
from course_utils.training import fit
from course_utils.variants.code_prior import CodePrior, MaskedConv2d, code_cost, sample_codes
from course_utils.variants.codebook import Codebook, nearest_code, perplexity, straight_through
from course_utils.variants.quantized import VQVAE, vq_loss

TWO = torch.tensor([[0.0, 0.0], [2.0, 0.0]])


def codebook_of_two(update: str, decay: float = 0.75) -> Codebook:
    codebook = Codebook(2, 2, update, decay)
    with torch.no_grad():
        codebook.entries.copy_(TWO)
    return codebook


def as_grid(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors (m, d) as one grid of m columns: (1, d, 1, m)."""
    return vectors.T[None, :, None]


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (48, 1, 28, 28), generator=generator, dtype=torch.uint8)


def test_the_nearest_of_two_entries():
    vectors = torch.tensor([[0.9, 5.0], [1.1, -5.0], [-3.0, 0.0]])
    assert nearest_code(vectors, TWO).tolist() == [0, 1, 0]


def test_straight_through_has_the_value_of_one_and_the_gradient_of_the_other():
    z_e = torch.tensor([0.3, -1.0], dtype=torch.float64, requires_grad=True)
    z_q = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    out = straight_through(z_e, z_q)
    out.pow(3).sum().backward()
    assert_close(out.detach(), z_q.detach())
    assert_close(z_e.grad, 3 * z_q.detach() ** 2)
    assert z_q.grad is None


def test_the_loss_and_who_learns_from_which_part():
    x, x_logits = torch.full((1, 1, 2, 2), 0.5), torch.zeros(1, 1, 2, 2)
    z_e = as_grid(torch.tensor([[0.5, 1.0]])).requires_grad_()
    z_q = as_grid(torch.tensor([[0.0, 0.0]])).requires_grad_()
    parts = vq_loss(x, x_logits, z_e, z_q, beta=0.4)
    assert_close(parts.nll, torch.tensor([4 * math.log(2)]))
    assert_close(parts.distance, torch.tensor([1.25]))
    assert_close(parts.loss, parts.nll + 1.4 * 1.25)
    parts.loss.sum().backward()
    assert_close(z_e.grad, 2 * 0.4 * (z_e - z_q).detach())
    assert_close(z_q.grad, 2 * (z_q - z_e).detach())


def test_perplexity():
    assert perplexity(torch.tensor([[3, 3], [3, 3]]), 8) == pytest.approx(1)
    assert perplexity(torch.arange(8), 8) == pytest.approx(8)
    assert perplexity(torch.tensor([0, 0, 0, 1]), 2) == pytest.approx(
        math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    )


def test_entries_become_moving_averages_of_those_who_chose_them():
    codebook = codebook_of_two("averages")
    codebook(as_grid(torch.tensor([[2.0, 1.0], [4.0, 3.0]])))  # both choose the entry at (2, 0), which counts as one
    assert_close(codebook.entries[1], (0.75 * TWO[1] + 0.25 * torch.tensor([6.0, 4.0])) / (0.75 + 0.5))
    assert_close(codebook.entries[0], TWO[0])
    assert_close(codebook.counts, torch.tensor([0.75, 1.25]))


def test_without_training_nothing_moves():
    codebook = codebook_of_two("revival").eval()
    grid, z_q = codebook(as_grid(torch.tensor([[9.0, 9.0]])))
    assert grid.tolist() == [[[1]]]
    assert_close(z_q, as_grid(TWO[1:]))
    assert_close(codebook.entries.detach(), TWO)


def test_revival_puts_unused_entries_onto_vectors_of_the_batch():
    codebook = codebook_of_two("revival")
    vectors = torch.tensor([[5.0, 5.0], [6.0, 6.0], [7.0, 7.0]])
    for _ in range(60):
        codebook(as_grid(vectors))
    assert len(nearest_code(vectors, codebook.entries).unique()) == 2
    assert codebook.entries.min() > 4.9


def test_a_codebook_that_learns_by_gradient_is_left_to_the_loss():
    codebook = codebook_of_two("gradient")
    _, z_q = codebook(as_grid(torch.tensor([[2.5, 0.0]])))
    z_q.sum().backward()
    assert_close(codebook.entries.detach(), TWO)
    assert codebook.entries.grad.tolist() == [[0, 0], [1, 1]]


def test_an_unknown_way_to_learn_is_named():
    with pytest.raises(ValueError, match="must be one of gradient, averages, revival, got 'magic'"):
        Codebook(2, 2, "magic")


def test_the_quantizer_computes_in_float32_under_autocast():
    codebook = codebook_of_two("averages")
    vectors = torch.tensor([[1.0001, 0.0], [0.9999, 0.0]])  # alike in bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        grid, z_q = codebook(as_grid(vectors))
    assert grid.flatten().tolist() == [1, 0]
    assert z_q.dtype == codebook.entries.dtype == torch.float32


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_is_trained_by_fit_and_coded_by_the_functions_of_the_course(images, precision):
    torch.manual_seed(0)
    model = VQVAE(size=8, dim=4)
    generator = torch.Generator().manual_seed(0)
    history = fit(
        model, images, vq_loss, epochs=4, generator=generator, batch_size=16, precision=precision, progress=False
    )
    assert history.train[-1]["nll"] < history.train[0]["nll"]
    codes = encode(model, images)
    assert codes.shape == (48, 7, 7)
    assert codes.dtype == torch.long
    x_logits, _, _ = model(to_unit(images))
    assert_close(decode(model, codes), x_logits.sigmoid().detach())


# --- the prior ---


def all_grids(size: int, height: int, width: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(size), repeat=height * width))).view(-1, height, width)


@pytest.mark.parametrize(("kind", "seen"), [("A", 12), ("B", 13)])
def test_a_mask_shows_what_comes_before(kind, seen):
    mask = MaskedConv2d(1, 1, 5, kind).mask
    assert mask.flatten().tolist() == [1.0] * seen + [0.0] * (25 - seen)


@pytest.mark.parametrize(("kind", "side"), [("C", 3), ("A", 4)])
def test_an_unknown_mask_is_refused(kind, side):
    with pytest.raises(ValueError, match="kind A or B and an odd side"):
        MaskedConv2d(1, 1, side, kind)


def test_shares_of_all_grids_add_up_to_one_unless_the_first_mask_shows_the_code_itself():
    torch.manual_seed(0)
    grids = all_grids(3, 2, 3)
    for first, is_one in (("A", True), ("B", False)):
        prior = CodePrior(size=3, grid=(2, 3), width=8, blocks=2, first=first).double()
        with torch.no_grad():
            total = (-cost_in_double(prior, grids)).exp().sum().item()
        assert (abs(total - 1) < 1e-6) == is_one, first


def cost_in_double(prior, grids):
    (logits,) = prior(grids)
    return torch.nn.functional.cross_entropy(logits, grids, reduction="none").sum(dim=(1, 2))


def test_the_cost_is_the_cross_entropy_of_the_grid():
    logits = torch.zeros(2, 4, 3, 3)
    codes = torch.zeros(2, 3, 3, dtype=torch.long)
    assert_close(code_cost(codes, logits).nats, torch.full((2,), 9 * math.log(4)))
    logits[0, 0] = 30.0
    assert_close(code_cost(codes, logits).nats, torch.tensor([0.0, 9 * math.log(4)]))


def test_later_codes_change_nothing():
    torch.manual_seed(0)
    prior = CodePrior(size=5, width=8, blocks=3)
    codes = torch.randint(5, (1, 7, 7))
    before = prior(codes)[0]
    for place in range(49):
        other = codes.clone()
        other.view(-1)[place] = (codes.view(-1)[place] + 1) % 5
        changed = (prior(other)[0] - before).abs().amax(dim=1).flatten() > 0
        assert not changed[: place + 1].any()
        assert place > 47 or changed[place + 1 :].any()


def test_rows_that_are_missing_change_nothing():
    torch.manual_seed(0)
    prior = CodePrior(size=5, width=8, blocks=2)
    codes = torch.randint(5, (2, 7, 7))
    assert_close(prior(codes[:, :3])[0], prior(codes)[0][:, :, :3])


def test_samples_occur_as_often_as_the_prior_says():
    torch.manual_seed(0)
    prior = CodePrior(size=2, grid=(2, 2), width=8, blocks=1)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.mul_(2)
        grids = all_grids(2, 2, 2)
        expected = (-code_cost(grids, *prior(grids)).nats).exp()
    drawn = sample_codes(prior, 20_000, torch.Generator().manual_seed(0))
    number = (drawn.flatten(1) * torch.tensor([8, 4, 2, 1])).sum(dim=1)
    found = number.bincount(minlength=16) / len(drawn)
    assert expected.max() > 1.5 * expected.min()
    assert_close(found, expected, atol=0.015, rtol=0)


def test_the_prior_knows_where_it_is_and_what_lies_before_stays_the_same():
    torch.manual_seed(0)
    prior, codes = CodePrior(size=4, grid=(3, 3), width=8, blocks=1).eval(), torch.zeros(1, 3, 3, dtype=torch.long)
    with torch.no_grad():
        (before,) = prior(codes)
        prior.place[:, 1, 1] += 1
        (after,) = prior(codes)
    moved = (after - before).abs().amax(dim=1)[0].flatten() > 1e-6
    assert moved[4]
    assert not moved[:4].any()
