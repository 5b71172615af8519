"""Codes of whole image sets, against the model called by hand."""

import torch

from course_utils.latent import encode, posterior
from course_utils.models import ConvAutoencoder, build

IMAGES = torch.randint(0, 256, (11, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_codes_are_the_posterior_means_in_eval_mode():
    model = build("dcgan").train()  # batch norm: batches of another size give other codes, unless in eval mode
    codes, (mu, logvar) = encode(model, IMAGES, batch_size=4), posterior(model, IMAGES, batch_size=11)
    assert model.training
    by_hand = model.eval().encode(IMAGES / 255)
    torch.testing.assert_close(codes, by_hand[0])
    torch.testing.assert_close((mu, logvar), tuple(by_hand))
    assert not codes.requires_grad


def test_an_autoencoder_has_codes_too():
    model = ConvAutoencoder()
    torch.testing.assert_close(encode(model, IMAGES), model.encode(IMAGES / 255))
