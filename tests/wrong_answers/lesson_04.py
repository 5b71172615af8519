"""Wrong answers to the exercises of lesson 04: the convolutional VAE on MNIST."""

from tests.wrong_answers import Wrong


def count(body: str) -> str:
    return f"encoder_parameters = {body}\n"


def bits(body: str) -> str:
    return f"import math\n\n\ndef bits_per_dimension(nats_per_image, image_shape):\n    {body}\n"


def active(body: str) -> str:
    return f"def active_units(mu, threshold=0.01):\n    {body}\n"


def gaussian(body: str) -> str:
    return f"import torch\n\n\ndef gaussian_of(codes):\n    {body}\n"


MEAN = "codes.mean(dim=0)[:, None]"
FACTOR = "torch.linalg.cholesky(torch.cov(codes.T))"


def table(factor: str, mean: str = MEAN) -> str:
    return gaussian(f"return torch.cat([{mean}, {factor}], dim=1)")


WRONG = [
    # the encoder's weights
    Wrong("try-parameters", count("32 * 10 + 64 * 289 + 256 * 3137 + 20 * 257"), "You counted one head"),
    Wrong("try-parameters", count("32 * 9 + 64 * 288 + 256 * 3136 + 40 * 256"), "You left out the biases"),
    Wrong("try-parameters", count("32 * 10 + 64 * 289 + 256 * 3137"), "The two heads are missing"),
    Wrong("try-parameters", count("32 * 10 + 64 * 289 + 40 * 257"), "The hidden layer is missing"),
    Wrong("try-parameters", count("256 * 3137 + 40 * 257"), "The convolutions are missing"),
    Wrong("try-parameters", count("32 * 10 + 64 * (9 + 1) + 256 * 3137 + 40 * 257"), "sees all 32 channels"),
    Wrong("try-parameters", count("32 * (3 + 1) + 64 * (32 * 3 + 1) + 256 * 3137 + 40 * 257"), "nine weights"),
    Wrong("try-parameters", count("320 + 64 * 289 + 256 * (14 * 14 * 64 + 1) + 40 * 257"), r"7·7 places, not 14·14"),
    Wrong("try-parameters", count("1_662_249"), "That is the whole VAE"),
    Wrong("try-parameters", count("'many'"), "expected a number, got str", specific=False),
    # bits per pixel value
    Wrong("try-bits", bits("return nats_per_image * math.log(2) / math.prod(image_shape)"), "a nat is more than a bit"),
    Wrong("try-bits", bits("return nats_per_image / math.log(2)"), "These are bits per image"),
    Wrong("try-bits", bits("return nats_per_image / math.prod(image_shape)"), "These are nats per pixel"),
    Wrong("try-bits", bits("return nats_per_image / math.log(2) / 784"), "784 is MNIST's"),
    Wrong("try-bits", bits("_, h, w = image_shape\n    return nats_per_image / math.log(2) / h / w"), "Colours count"),
    Wrong("try-bits", bits("return nats_per_image / math.log(2) * math.prod(image_shape)"), "You multiplied by the"),
    Wrong("try-bits", bits("return nats_per_image / math.log(2) / sum(image_shape)"), "You added the sides"),
    Wrong("try-bits", bits("return nats_per_image / math.log(10) / math.prod(image_shape)"), "not to base 10"),
    Wrong("try-bits", bits("return -nats_per_image / math.log(2) / math.prod(image_shape)"), "the opposite of"),
    Wrong("try-bits", bits("return nats_per_image / math.log(2) / image_shape"), "raises TypeError"),
    # active units
    Wrong("try-active", active("return int((mu.std(dim=0) > threshold).sum())"), "You compared the standard deviation"),
    Wrong("try-active", active("return int((mu.mean(dim=0) > threshold).sum())"), "A constant mean carries"),
    Wrong("try-active", active("return int(((mu**2).mean(dim=0) > threshold).sum())"), "Subtract the mean"),
    Wrong("try-active", active("return int((mu.var(dim=1) > threshold).sum())"), "goes over the images, dim=0"),
    Wrong("try-active", active("return int((mu.var(dim=0) <= threshold).sum())"), "You counted the idle dimensions"),
    Wrong("try-active", active("return int((mu.var(dim=0) > 0.01).sum())"), "the same whatever `threshold` may be"),
    Wrong("try-active", active("return float((mu.var(dim=0) > threshold).float().mean())"), "a constant times"),
    Wrong("try-active", active("return mu.shape[1]"), "how many dimensions there"),
    Wrong("try-active", active("return int((mu.abs().mean(dim=0) > threshold).sum())"), "how many dimensions there"),
    Wrong("try-active", active("return int(mu.var() > threshold)"), "one variance for all"),
    Wrong("try-active", active("return mu.var(dim=0) > threshold"), r"expected shape \(\), got", specific=False),
    # a Gaussian for the codes
    Wrong("try-autoencoder", table(f"{FACTOR} * ((len(codes) - 1) / len(codes)) ** 0.5"), "Divide by n − 1"),
    Wrong("try-autoencoder", table("torch.cov(codes.T)"), "That is the covariance"),
    Wrong("try-autoencoder", table(f"{FACTOR}.T"), "not its transpose"),
    Wrong("try-autoencoder", table("codes.std(dim=0).diag()"), "Not yet: ", specific=False),
    Wrong("try-autoencoder", table("codes.var(dim=0).diag()"), "Not yet: ", specific=False),
    Wrong("try-autoencoder", table(FACTOR, f"0 * {MEAN}"), "The mean is missing"),
    Wrong("try-autoencoder", table("torch.cov(codes.T).abs().sqrt()"), "Not yet: ", specific=False),
    Wrong("try-autoencoder", gaussian(f"return codes.mean(dim=0), {FACTOR}"), "Not yet: ", specific=False),
    Wrong("try-autoencoder", gaussian(f"return {FACTOR}"), r"expected shape \(3, 4\), got \(3, 3\)", specific=False),
]
