"""Wrong answers to the exercises of lesson 01, each with the sentence that it must get."""

from tests.wrong_answers import Wrong


def cubic(body: str, told: str, *, specific: bool = True) -> Wrong:
    answer = f"def cubic_gradients(mu, sigma, eps):\n    z = mu + sigma * eps\n    {body}\n"
    return Wrong("try-cubic", answer, told, specific)


def baseline(body: str, told: str, *, specific: bool = True) -> Wrong:
    answer = f"def variance_with_baseline(b):\n    L = (2 + nodes - 3) ** 2\n    {body}\n"
    return Wrong("try-baseline", answer, told, specific)


def weibull(body: str, told: str, *, specific: bool = True) -> Wrong:
    return Wrong("try-weibull", f"def weibull_path(u, scale, k):\n    {body}\n", told, specific)


def logvar(body: str, told: str, *, specific: bool = True) -> Wrong:
    answer = f"def gradient_to_logvar(mu, logvar, eps, y):\n    sigma = torch.exp(0.5 * logvar)\n    {body}\n"
    return Wrong("try-logvar-gradient", answer, told, specific)


VARIANCE = "return gaussian_mean(estimate**2) - gaussian_mean(estimate) ** 2"

WRONG = [
    cubic("return 3 * z**2, 3 * z**2", "needs one more factor, dz/dsigma = eps"),
    cubic("return 3 * z**2, 3 * z**2 * sigma", "dz/dsigma is eps, not sigma"),
    cubic("return 3 * mu**2, 3 * mu**2 * eps", "slope of the loss at z = mu \\+ sigma \\* eps, not at mu"),
    cubic("return z**2, z**2 * eps", "the 3 is missing"),
    cubic("return 3 * z**2 * eps, 3 * z**2", "Turn the pair round"),
    cubic("return -3 * z**2, -3 * z**2 * eps", "the opposite of what is asked for"),
    cubic("return 6 * z**2, 6 * z**2 * eps", "twice what is asked for"),
    cubic("return 3 * z**2", r"expected shape \(2, 3\), got \(3,\)"),
    cubic("return (3 * z**2).mean(), (3 * z**2 * eps).mean()", r"expected shape \(2, 3\), got \(2,\)"),
    cubic("3 * z**2, 3 * z**2 * eps", "gives back None. End it in `return`"),
    cubic("return 3 * z**2, None", "expected an array of shape"),
    cubic("return 3 * zz**2, 3 * zz**2 * eps", "line 3: `return 3 \\* zz.*raises NameError: name 'zz' is not defined"),
    cubic("return 12.0, -12.0", r"expected shape \(2, 3\), got \(2,\)"),
    cubic("return math.exp(z), eps", "math's functions take one number: use torch's for tensors"),
    cubic("return torch.autograd.grad(z**3, (mu, sigma))", "line 3: .*raises RuntimeError"),
    cubic("return 3 * z, 3 * z * eps", "is too (large|small)", specific=False),
    cubic("return 3 * sigma**2 + 0 * eps, 3 * sigma**2 * eps", "the same whatever `mu` may be"),
    Wrong(
        "try-cubic",
        "def cubic_gradients(z, eps):\n    return 3 * z**2, 3 * z**2 * eps\n",
        "keep the function's first line",
    ),
    baseline("return 14.0", "the same whatever `b` may be"),
    baseline("estimate = (L - b) * nodes\n    return gaussian_mean(estimate**2)", "subtract the square of the mean"),
    baseline(
        "estimate = (L - b) * nodes\n    return gaussian_mean(estimate**2) - gaussian_mean(estimate)", "Square the mean"
    ),
    baseline(f"estimate = L * nodes\n    {VARIANCE}", "the 30 of no baseline: subtract b from the loss"),
    baseline(f"estimate = L * nodes - b\n    {VARIANCE}", "the 30 of no baseline: .*before you multiply"),
    baseline(f"estimate = L - b\n    {VARIANCE}", "Multiply by eps"),
    baseline("return gaussian_mean((L - b) * nodes)", "the mean of the estimate; its variance is asked for"),
    baseline(
        "estimate = (L - b) * nodes\n    return (gaussian_mean(estimate**2) - gaussian_mean(estimate) ** 2) ** 0.5",
        "do not take the root",
    ),
    baseline(f"estimate = (L + b) * nodes\n    {VARIANCE}", "Subtract b from the loss, do not add it"),
    baseline(f"estimate = (L - b) * (nodes**2 - 1)\n    {VARIANCE}", "That is for sigma; for mu the score is eps"),
    baseline("return ((L - b) * nodes).var()", "is too (large|small)", specific=False),
    baseline("return ((L - b) * nodes) ** 2", r"expected shape \(\), got \(2400,\)"),
    baseline("return variance_of((L - b) * nodes)", "line 3: .*NameError: name 'variance_of'|too (large|small)"),
    weibull("return scale * (-torch.log(1 - u)) ** k", "Take the k-th root"),
    weibull("return (-torch.log(1 - u)) ** (1 / k) / scale", "The scale multiplies z"),
    weibull("return (-scale * torch.log(1 - u)) ** (1 / k)", "The scale stands outside the root"),
    weibull("return scale * (-torch.log(u)) ** (1 / k)", r"log\(u\) belongs to 1 - F"),
    weibull("return -scale * torch.log(1 - u)", "The root is missing"),
    weibull("return 1 - torch.exp(-((u / scale) ** k))", "That is F itself"),
    weibull("return scale * torch.log(1 - u) ** (1 / k)", "NaN or infinity. Look for a log .* a negative number"),
    weibull("return scale.item() * (-torch.log(1 - u)) ** (1 / k)", "the path to the scale is cut"),
    weibull("return scale * (-math.log(1 - u)) ** (1 / k)", "math's functions take one number"),
    weibull("return scale.numpy() * (-np.log(1 - u.numpy())) ** (1 / k.numpy())", "keep track of gradients"),
    weibull("return distributions.Weibull(scale, k).sample()", r"expected shape \(3,\), got \(\)"),
    weibull("return scale * (-torch.log(1 - u)) ** 0.5", "the same whatever `k` may be"),
    weibull("return 3.0 * (-torch.log(1 - u)) ** (1 / k)", "the same whatever `scale` may be"),
    weibull("return 2 * scale * (-torch.log(1 - u)) ** (1 / k)", "twice what is asked for"),
    weibull("return scale * (-torch.log2(1 - u)) ** (1 / k)", "is too (large|small)", specific=False),
    logvar("return 2 * (mu + sigma * eps - y) * eps", "That is dL/dsigma"),
    logvar("return 2 * (mu + sigma * eps - y) * eps * sigma", "The factor 1/2 .* is missing"),
    logvar("return 2 * (mu + sigma * eps - y) * eps * 0.5", "The factor sigma .* is missing"),
    logvar("return 2 * (mu + sigma * eps - y) * 0.5 * sigma", "dz/dsigma is eps: this factor is missing"),
    logvar("return (mu + logvar.exp() * eps - y) * eps * logvar.exp()", "exp\\(logvar\\) is the variance"),
    logvar("return (mu + sigma * eps - y) * eps * 0.5 * sigma", "half of what is asked for"),
    logvar("return 2 * (y - mu - sigma * eps) * eps * 0.5 * sigma", "the opposite of what is asked for"),
    logvar("return 2 * (mu + 3 * eps - y) * eps * 1.5", "the same whatever `logvar` may be"),
    logvar("return 2 * (mu + sigma * eps - 3) * eps * 0.5 * sigma", "the same whatever `y` may be"),
    logvar("return 2 * (mu + math.exp(0.5 * logvar) * eps - y) * eps", "math's functions take one number"),
    logvar("return (2 * (mu + sigma * eps - y) * eps * 0.5 * sigma).sum()", r"expected shape \(2,\), got \(\)"),
    logvar("return 2 * (mu - y) * eps * 0.5 * sigma", "is too (large|small)", specific=False),
    logvar("return 2 * (mu + sigma * eps - y)", "is too (large|small)", specific=False),
]
