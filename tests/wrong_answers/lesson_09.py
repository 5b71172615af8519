"""Wrong answers to the exercises of lesson 09: discrete codes."""

from tests.wrong_answers import Wrong


def moved(body: str) -> str:
    return f"def moved_entry(entry, count, vectors, decay):\n    {body}\n"


def bits(body: str) -> str:
    return f"def bits_of(codes, shares):\n    {body}\n"


def shares(body: str) -> str:
    return f"def sharpened(logits, temperature):\n    {body}\n"


KEPT, SUM, MEAN = "decay * count * entry", "(1 - decay) * vectors.sum(dim=0)", "vectors.mean(dim=0)"
COUNT = "(decay * count + (1 - decay) * len(vectors))"

WRONG = [
    # one step of the average
    Wrong("try-average", moved(f"return decay * entry + (1 - decay) * {MEAN}"), "The counts must weigh"),
    Wrong(
        "try-average",
        moved(f"return (decay * entry + {SUM}) / (decay + (1 - decay) * len(vectors))"),
        "The old place counts for N vectors",
    ),
    Wrong(
        "try-average",
        moved(
            "return ((1 - decay) * count * entry + decay * vectors.sum(dim=0))"
            " / ((1 - decay) * count + decay * len(vectors))"
        ),
        "You exchanged decay and 1 - decay",
    ),
    Wrong("try-average", moved(f"return {MEAN}"), "the mean of the new vectors; keep some of the old"),
    Wrong(
        "try-average",
        moved("return (count * entry + vectors.sum(dim=0)) / (count + len(vectors))"),
        "Nothing fades: weigh old and new",
    ),
    Wrong("try-average", moved(f"return {KEPT} + {SUM}"), "Divide by the new count"),
    Wrong("try-average", moved(f"return ({KEPT} + (1 - decay) * vectors) / {COUNT}"), r"expected shape \(2,\), got"),
    Wrong("try-average", moved("return entry"), "the same whatever `count` and `vectors` and `decay` may be"),
    Wrong("try-average", moved(f"return (({KEPT} + {SUM}) / {COUNT}).norm()"), r"expected shape \(2,\), got \(\)"),
    Wrong("try-average", moved(f"return ({KEPT} + {SUM}) / vectors"), r"expected shape|raises RuntimeError"),
    Wrong("try-average", moved(f"return -({KEPT} + {SUM}) / {COUNT}"), "the opposite of"),
    Wrong("try-average", moved(f"return ({KEPT} + {SUM}) / count"), "is too (small|large)", specific=False),
    # bits per image
    Wrong("try-bits", bits("return -shares[codes].log().sum()"), "These are nats"),
    Wrong("try-bits", bits("return -shares[codes].log2().mean()"), "a mean over the codes; sum over the grid"),
    Wrong("try-bits", bits("return shares[codes].log2().sum()"), "You forgot the minus sign"),
    Wrong("try-bits", bits("return -(shares * shares.log2()).sum()"), "the entropy of the shares; look the codes up"),
    Wrong(
        "try-bits",
        bits("return -(shares * shares.log2()).sum() * codes.numel()"),
        "the mean price of any grid; look the codes up",
    ),
    Wrong("try-bits", bits("return -shares[codes].log2()"), "the prices of the single codes; sum them"),
    Wrong("try-bits", bits("p = shares[codes]\n    return -(p * p.log2()).sum()"), "Do not weigh a price by its share"),
    Wrong("try-bits", bits("return -shares.log2().sum()"), "the same whatever `codes` may be"),
    Wrong("try-bits", bits("return codes.numel() * 6"), "the same whatever `shares` may be"),
    Wrong("try-bits", bits("return -math.log2(shares[codes])"), "your answer, line 2.* raises"),
    Wrong("try-bits", bits("return -shares[codes].sum().log2()"), "is too (small|large)", specific=False),
    # temperature
    Wrong("try-temperature", shares("return (logits * temperature).softmax(dim=1)"), "You used T where 1/T belongs"),
    Wrong(
        "try-temperature",
        shares("return logits.softmax(dim=1) ** (1 / temperature)"),
        "The shares of a row must add up to one",
    ),
    Wrong("try-temperature", shares("return logits / temperature"), "These are not yet shares"),
    Wrong("try-temperature", shares("return logits.softmax(dim=1) / temperature"), "Divide by T before the exp"),
    Wrong("try-temperature", shares("return (logits / temperature).softmax(dim=0)"), "You normalise over the samples"),
    Wrong(
        "try-temperature",
        shares("return (logits - temperature).softmax(dim=1)"),
        "The temperature changes nothing",
    ),
    Wrong("try-temperature", shares("return (logits / temperature).log_softmax(dim=1)"), "logarithms of the shares"),
    Wrong("try-temperature", shares("return (-logits / temperature).softmax(dim=1)"), "The sign is wrong"),
    Wrong("try-temperature", shares("return (logits / temperature).exp()"), "exp alone does not add up"),
    Wrong("try-temperature", shares("return logits.softmax(dim=1)"), "The temperature changes nothing"),
    Wrong("try-temperature", shares("return (logits / temperature).softmax(dim=1).sum()"), r"expected shape \(2, 3\)"),
    Wrong(
        "try-temperature",
        shares("return (logits / temperature**2).softmax(dim=1)"),
        "is too (small|large)",
        specific=False,
    ),
]
