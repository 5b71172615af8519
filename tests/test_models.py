"""The networks: shapes for every image size, the lectures' layer sizes, and clear refusals."""

import pytest
import torch
from torch import nn

from course_utils.batching import to_unit
from course_utils.data import load
from course_utils.models import (
    DCGANVAE,
    MODELS,
    ConvAutoencoder,
    ConvVAE,
    FaceVAE,
    UnstridedVAE,
    build,
    halved_sizes,
)
from course_utils.objectives import negative_elbo
from course_utils.training import fit

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 30, 27)]


@pytest.mark.parametrize("shape", SHAPES)
def test_conv_vae_mirrors_any_image_size(shape):
    model = ConvVAE(shape, latent_dim=7, channels=(8, 16, 24), hidden=32)
    output = model(torch.rand(2, *shape))
    assert output.x_logits.shape == (2, *shape)
    assert output.mu.shape == output.logvar.shape == (2, 7)


def test_the_default_is_the_lecture_network():
    sizes = [tuple(p.shape) for p in ConvVAE().parameters()]
    encoder = [(32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (256, 3136), (256,), (20, 256), (20,), (20, 256), (20,)]
    decoder = [(256, 20), (256,), (3136, 256), (3136,), (64, 32, 3, 3), (32,), (32, 1, 3, 3), (1,)]
    assert sizes == encoder + decoder


def test_the_encoder_starts_with_the_log_variance_of_its_cure_whatever_the_image():
    mu, logvar = ConvVAE().encode(torch.rand(4, 1, 28, 28))
    assert torch.equal(logvar, torch.full((4, 20), -3.0))
    assert mu.std() > 0


def test_the_encoder_keeps_the_size_of_a_signal_through_its_layers():
    torch.manual_seed(0)
    model, x = ConvVAE(), torch.rand(32, 1, 28, 28)
    with torch.no_grad():
        ratio = model.encoder.features(x).square().mean() / x.square().mean()
    assert 0.3 < ratio < 3  # the borders' zeros take some; PyTorch's own start leaves a hundredth


@pytest.mark.parametrize("seed", [0, 1])
def test_most_hidden_units_outlive_the_first_sixty_steps(seed):
    torch.manual_seed(seed)
    model, images = ConvVAE(), load("mnist", "train", "bundled").images[:640]
    gently = {"epochs": 12, "learning_rate": 3e-4, "schedule": "constant", "progress": False}
    fit(model, images, negative_elbo, generator=torch.Generator().manual_seed(seed), **gently)
    with torch.no_grad():
        alive = model.encoder.features(to_unit(images)).amax(dim=0) > 0
    assert alive.float().mean() > 0.6  # seen .88 and .89; .21 and .25 from PyTorch's own start


def test_lecture_l2_network_has_its_sizes_and_no_norm_in_the_last_blocks():
    model = DCGANVAE()
    assert [m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)] == [16, 32, 256, 128, 64]
    assert model.latent_dim == 32
    assert model(torch.rand(2, 1, 28, 28)).x_logits.shape == (2, 1, 28, 28)


def test_lecture_l4_network_has_its_sizes():
    model = UnstridedVAE()
    assert [m.kernel_size for m in model.modules() if isinstance(m, nn.Conv2d)] == [(5, 5), (3, 3)]
    assert [m.in_features for m in model.encoder.modules() if isinstance(m, nn.Linear)] == [64 * 22 * 22]
    assert model(torch.rand(2, 1, 28, 28)).mu.shape == (2, 64)


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 64, 64), (3, 32, 48)])
@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_face_vae_gives_back_the_image_size(shape, upsampling):
    model = FaceVAE(shape, latent_dim=5, channels=(4, 8, 8), upsampling=upsampling)
    output = model(torch.rand(2, *shape))
    assert output.x_logits.shape == (2, *shape)
    assert output.mu.shape == output.logvar.shape == (2, 5)


def test_the_default_face_vae_has_the_lecture_sizes():
    model = FaceVAE()
    assert (model.image_shape, model.latent_dim) == ((3, 64, 64), 200)
    down = [m.out_channels for m in model.encoder.modules() if isinstance(m, nn.Conv2d)]
    up = [m.out_channels for m in model.decoder.modules() if isinstance(m, nn.Conv2d)]
    assert (down, up) == ([32, 64, 128, 128], [128, 64, 32, 3])
    assert [m.in_features for m in model.encoder.modules() if isinstance(m, nn.Linear)] == [128 * 4 * 4]
    assert [m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)] == [
        *(32, 64, 128, 128),
        *(128, 128, 64, 32),
    ]


def test_upsampling_chooses_the_kind_of_layer():
    kinds = {
        name: {type(m) for m in FaceVAE(channels=(4, 4), upsampling=name).decoder.modules()}
        for name in ("nearest", "transposed")
    }
    assert nn.Upsample in kinds["nearest"] and nn.ConvTranspose2d not in kinds["nearest"]
    assert nn.ConvTranspose2d in kinds["transposed"] and nn.Upsample not in kinds["transposed"]


def test_face_vae_in_eval_mode_encodes_each_face_by_itself_and_without_dropout():
    model, x = FaceVAE(latent_dim=5, channels=(4, 8), dropout=0.5), torch.rand(6, 3, 64, 64)
    assert not torch.equal(model.encode(x)[0], model.encode(x)[0])  # dropout draws anew
    model.eval()
    torch.testing.assert_close(model.encode(x)[0][:2], model.encode(x[:2])[0])


def test_autoencoder_has_no_noise_and_no_logvar():
    model, x = ConvAutoencoder(), torch.rand(2, 1, 28, 28)
    assert torch.equal(model(x)[0], model(x)[0])
    assert model.encode(x).shape == (2, 20)
    assert not any("logvar" in name for name, _ in model.named_parameters())


def test_vae_output_varies_with_the_noise_and_repeats_with_the_generator():
    model, x = ConvVAE(), torch.rand(2, 1, 28, 28)
    first, again = (model(x, generator=torch.Generator().manual_seed(3)).x_logits for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, model(x).x_logits)


@pytest.mark.parametrize("name", MODELS)
def test_arguments_rebuild_the_model(name):
    model = build(name)
    again = build(name, **model.arguments)
    again.load_state_dict(model.state_dict())


def test_halved_sizes_follow_the_convolution_formula():
    assert halved_sizes((1, 28, 28), 2) == [(28, 28), (14, 14), (7, 7)]
    assert halved_sizes((1, 27, 5), 2) == [(27, 5), (14, 3), (7, 2)]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.rand(2, 784), r"float batch \(n, 1, 28, 28\).*got shape \(2, 784\)"),
        (torch.rand(1, 28, 28), r"got shape \(1, 28, 28\)"),
        (torch.rand(2, 3, 28, 28), r"got shape \(2, 3, 28, 28\)"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), r"got torch.uint8.*to_unit"),
        (torch.rand(2, 1, 28, 28) * 255, r"values from .* Undo any normalisation"),
        (torch.full((2, 1, 28, 28), -0.25), r"values in \[0, 1\], got values from -0\.25"),
        (torch.full((2, 1, 28, 28), float("nan")), "got values from nan"),
    ],
)
def test_wrong_images_are_refused_in_words(x, message):
    with pytest.raises(ValueError, match=message):
        ConvVAE()(x)


@pytest.mark.parametrize("z", [torch.zeros(20), torch.zeros(2, 19), torch.zeros(2, 20, dtype=torch.int64)])
def test_wrong_latents_are_refused_in_words(z):
    with pytest.raises(ValueError, match=r"latent vectors \(n, 20\)"):
        ConvVAE().decode(z)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet", {}, "Unknown model 'resnet'. Choose one of: conv, dcgan"),
        ("conv", {"latent_dim": 0}, "sizes of at least 1"),
        ("conv", {"image_shape": (28, 28)}, r"image_shape \(channels, height, width\)"),
        ("conv", {"channels": (0,)}, "sizes of at least 1"),
        ("dcgan", {"image_shape": (3, 32, 32)}, "built for 28x28 images"),
        ("unstrided", {"image_shape": (1, 6, 6)}, "at least 7x7"),
        ("face", {"image_shape": (3, 64, 28)}, r"halves \(3, 64, 28\) 4 times"),
        ("face", {"upsampling": "bicubic"}, "one of nearest, transposed .* got 'bicubic'"),
        ("face", {"dropout": 1.0}, "a share below 1, got 'nearest' and 1.0"),
        ("face", {"channels": (8, 0)}, "sizes of at least 1"),
    ],
)
def test_impossible_models_are_refused_in_words(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(name, **arguments)


@pytest.mark.parametrize("name", MODELS)
def test_logits_may_be_negative(name):
    model = build(name).eval()
    x_logits = model.decode(100 * torch.randn(64, model.latent_dim, generator=torch.Generator().manual_seed(0)))
    assert x_logits.min() < 0  # a last ReLU would make every pixel at least one half
