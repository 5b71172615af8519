"""Wrong answers to the exercises of lesson 02: the KL divergence and the reconstruction loss."""

from tests.wrong_answers import Wrong


def prior(body: str) -> str:
    return f"def kl_to_prior(mu, logvar, mu_p, logvar_p):\n    {body}\n"


def pull(body: str) -> str:
    return f"def kl_gradient_in_sigma(sigma):\n    {body}\n"


def variance(body: str) -> str:
    return f"def best_sigma2(x_hat, x):\n    {body}\n"


RATIO = "(logvar - logvar_p).exp()"
GAP = "(mu - mu_p) ** 2 / logvar_p.exp()"
KL = f"{RATIO} + {GAP} - 1 - logvar + logvar_p"

WRONG = [
    # a prior that is not standard
    Wrong(
        "try-general-prior",
        prior(f"return 0.5 * ({RATIO} + (mu - mu_p) ** 2 - 1 - logvar + logvar_p).sum(dim=1)"),
        "Divide the gap of the means by the prior's variance, too",
    ),
    Wrong(
        "try-general-prior",
        prior(f"return 0.5 * ({RATIO} + (mu - mu_p) ** 2 / logvar.exp() - 1 - logvar + logvar_p).sum(dim=1)"),
        "not by that of q",
    ),
    Wrong(
        "try-general-prior",
        prior(
            "return 0.5 * ((logvar_p - logvar).exp() + (mu - mu_p) ** 2 / logvar.exp() - 1 + logvar - logvar_p).sum(1)"
        ),
        r"KL\(p \|\| q\)",
    ),
    Wrong(
        "try-general-prior",
        prior(
            "w = 2 * logvar_p\n    return kl_divergence(Normal(mu, logvar.exp()), Normal(mu_p, (w / 2).exp())).sum(1)"
        ),
        r"exp\(logvar\) is a variance already",
    ),
    Wrong("try-general-prior", prior(f"return 0.5 * ({KL}).mean(dim=1)"), "Sum over the latent dimensions"),
    Wrong(
        "try-general-prior",
        prior(f"return 0.5 * ({RATIO} + {GAP} - 1 + logvar - logvar_p).sum(dim=1)"),
        "The logarithm has the wrong sign",
    ),
    Wrong("try-general-prior", prior(f"return ({KL}).sum(dim=1)"), "twice what is asked for"),
    Wrong("try-general-prior", prior(f"return -0.5 * ({KL}).sum(dim=1)"), "the opposite of what is asked for"),
    Wrong(
        "try-general-prior", prior(f"return 0.5 * ({KL} + 1).sum(dim=1)"), "a constant more or less than what is asked"
    ),
    Wrong("try-general-prior", prior(f"return 0.5 * ({KL})"), r"expected shape \(5,\), got \(5, 3\)", specific=False),
    Wrong("try-general-prior", prior(f"return 0.5 * ({KL}).sum()"), r"expected shape \(5,\), got \(\)", specific=False),
    Wrong(
        "try-general-prior",
        prior(f"return 0.5 * ({KL}).sum(dim=0)"),
        r"expected shape \(5,\), got \(3,\)",
        specific=False,
    ),
    Wrong(
        "try-general-prior",
        prior("from course_utils.objectives import gaussian_kl\n\n    return gaussian_kl(mu, logvar)"),
        "the same whatever `mu_p` and `logvar_p` may be",
    ),
    Wrong(
        "try-general-prior",
        prior("from course_utils.objectives import gaussian_kl\n\n    return gaussian_kl(mu - mu_p, logvar)"),
        "the same whatever `logvar_p` may be",
    ),
    Wrong(
        "try-general-prior",
        prior(
            "from course_utils.objectives import gaussian_kl\n\n    return gaussian_kl(mu - mu_p, logvar - logvar_p)"
        ),
        "Divide the gap of the means by the prior's variance, too",
    ),
    Wrong("try-general-prior", prior(f"0.5 * ({KL}).sum(dim=1)"), "gives back None"),
    Wrong("try-general-prior", prior("return math.exp(logvar - logvar_p)"), "raises .*torch's for tensors"),
    # the gradient in sigma
    Wrong("try-sigma-gradient", pull("return 0.5 * (sigma**2 - 1)"), "the gradient in log sigma², not in sigma"),
    Wrong("try-sigma-gradient", pull("return sigma**2 - 1"), "the gradient in log sigma, not in sigma"),
    Wrong("try-sigma-gradient", pull("return 0.5 * (1 - 1 / sigma**2)"), "the gradient in sigma²"),
    Wrong("try-sigma-gradient", pull("return 1 / sigma - sigma"), "points downhill"),
    Wrong("try-sigma-gradient", pull("return sigma"), "The logarithm has a derivative"),
    Wrong("try-sigma-gradient", pull("return -1 / sigma"), "The square has a derivative"),
    Wrong("try-sigma-gradient", pull("return 2 * sigma - 1 / sigma"), "the factor 2 cancels"),
    Wrong("try-sigma-gradient", pull("return sigma - 1 / sigma**2"), "has the derivative -1 / sigma"),
    Wrong(
        "try-sigma-gradient",
        pull("return (sigma - 1 / sigma).mean()"),
        r"expected shape \(4,\), got \(\)",
        specific=False,
    ),
    Wrong("try-sigma-gradient", pull("return sigma - 1 / sigma + 0.7"), "a constant more or less than"),
    Wrong("try-sigma-gradient", pull("return torch.tensor([-9.9, -1.5, 0.0, 2.6667])"), "whatever `sigma` may be"),
    Wrong("try-sigma-gradient", pull("return sigma - math.log(sigma)"), "raises .*torch's for tensors"),
    Wrong("try-sigma-gradient", pull("return sigma + 1 / sigma"), "too large", specific=False),
    # the best variance
    Wrong(
        "try-best-sigma2", variance("return (x_hat - x).square().flatten(1).sum(1).mean()"), "over pixels, not summed"
    ),
    Wrong("try-best-sigma2", variance("return (x_hat - x).square().sum()"), "averaged over images and pixels"),
    Wrong("try-best-sigma2", variance("return (x_hat - x).square().mean().sqrt()"), "the standard deviation"),
    Wrong("try-best-sigma2", variance("return 0.5 * (x_hat - x).square().mean()"), "The factor 1/2"),
    Wrong("try-best-sigma2", variance("return 2 * (x_hat - x).square().mean()"), "twice what is asked for"),
    Wrong("try-best-sigma2", variance("return (x_hat - x).var(correction=0)"), "leaves out the mean error"),
    Wrong("try-best-sigma2", variance("return (x_hat - x).abs().mean()"), "Square the error before you average"),
    Wrong("try-best-sigma2", variance("return x.var(correction=0)"), "the spread of the images"),
    Wrong("try-best-sigma2", variance("return 1 / (x_hat - x).square().mean()"), "one over what is asked for"),
    Wrong("try-best-sigma2", variance("return 1.1 * (x_hat - x).square().mean()"), "a constant times"),
    Wrong("try-best-sigma2", variance("return 0.9 * (x_hat - x).square().mean()"), "a constant times"),
    Wrong("try-best-sigma2", variance("return 0.00075"), "the same whatever `x_hat` and `x` may be"),
    Wrong("try-best-sigma2", variance("return x_hat.square().mean()"), "the same whatever `x` may be"),
    Wrong("try-best-sigma2", variance("return (x_hat - x).square()"), r"expected shape \(\), got", specific=False),
    Wrong(
        "try-best-sigma2",
        variance("return (x_hat - x).square().flatten(1).mean(1)"),
        r"expected shape \(\), got \(3,\)",
        specific=False,
    ),
    Wrong("try-best-sigma2", variance("return ((x_hat - x) ** 2).mean().log()"), "the logarithm of what is asked for"),
    # variances read off losses
    Wrong("try-implied", "implied = [10.0, 4.0, 12288.0]", "so there is a factor 2 below"),
    Wrong("try-implied", "implied = [0.05, 2.0, 6144.0]", r"\(a\) The weight stands below"),
    Wrong("try-implied", "implied = [10.0, 2.0, 6144.0]", r"\(a\) There is a factor 2 below"),
    Wrong("try-implied", "implied = [5.0, 0.125, 6144.0]", r"\(b\) .*beta stands above"),
    Wrong("try-implied", "implied = [5.0, 0.5, 6144.0]", r"\(b\) The 4 before the KL counts"),
    Wrong("try-implied", "implied = [5.0, 2.0, 2048.0]", r"\(c\) A colour image has three channels"),
    Wrong("try-implied", "implied = [5.0, 2.0, 12288.0]", r"\(c\) There is a factor 2 below"),
    Wrong("try-implied", "implied = [5.0, 2.0, 1 / 24576]", r"\(c\) The mean has the weight 1/12288"),
    Wrong("try-implied", "implied = [5.0**0.5, 2.0**0.5, 6144.0**0.5]", "the standard deviations"),
    Wrong("try-implied", "implied = [5.0, 2.0]", r"expected shape \(3,\), got \(2,\)", specific=False),
    Wrong("try-implied", "implied = 5.0", r"expected shape \(3,\), got \(\)", specific=False),
    Wrong("try-implied", "implied = ['5', 'two', '6144']", "Return numbers"),
    Wrong("try-implied", "implied = [5.0, 3.0, 6144.0]", "too large", specific=False),
]
