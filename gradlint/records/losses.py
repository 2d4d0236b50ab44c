"""The losses of torch: what each compares, and what it takes its input for."""

from __future__ import annotations

from msgspec import Struct

LOGITS = "logits"
PROBABILITIES = "probabilities"
LOG_PROBABILITIES = "log-probabilities"
VALUES = "values"


class Loss(Struct, frozen=True):
    """A loss by the names of its inputs, and what its first one is meant to be.

    `settings` are its parameters behind the inputs, with torch's defaults.
    """

    takes: str = VALUES
    data: tuple[str, ...] = ("input", "target")
    settings: tuple[tuple[str, float | int | str | bool | None], ...] = ()


_OLD: tuple[tuple[str, None], ...] = (("size_average", None), ("reduce", None))
_MEAN = (("reduction", "mean"),)
_WEIGHT = (("weight", None),)
_CLASSES = (*_WEIGHT, _OLD[0], ("ignore_index", -100), _OLD[1], *_MEAN)

LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(LOGITS, settings=(*_CLASSES, ("label_smoothing", 0.0))),
    "binary_cross_entropy_with_logits": Loss(
        LOGITS, settings=(*_WEIGHT, *_OLD, *_MEAN, ("pos_weight", None))
    ),
    "multilabel_soft_margin_loss": Loss(LOGITS, settings=(*_WEIGHT, *_OLD, *_MEAN)),
    "multi_margin_loss": Loss(LOGITS, settings=(("p", 1), ("margin", 1.0), *_WEIGHT, *_OLD, *_MEAN)),
    "multilabel_margin_loss": Loss(LOGITS, settings=(*_OLD, *_MEAN)),
    "soft_margin_loss": Loss(LOGITS, settings=(*_OLD, *_MEAN)),
    "binary_cross_entropy": Loss(PROBABILITIES, settings=(*_WEIGHT, *_OLD, *_MEAN)),
    "nll_loss": Loss(LOG_PROBABILITIES, settings=_CLASSES),
    "kl_div": Loss(LOG_PROBABILITIES, settings=(*_OLD, *_MEAN, ("log_target", False))),
    "ctc_loss": Loss(
        LOG_PROBABILITIES,
        ("log_probs", "targets", "input_lengths", "target_lengths"),
        (("blank", 0), *_MEAN, ("zero_infinity", False)),
    ),
    "mse_loss": Loss(settings=(*_OLD, *_MEAN)),
    "l1_loss": Loss(settings=(*_OLD, *_MEAN)),
    "smooth_l1_loss": Loss(settings=(*_OLD, *_MEAN, ("beta", 1.0))),
    "huber_loss": Loss(settings=(*_MEAN, ("delta", 1.0))),
    "poisson_nll_loss": Loss(
        settings=(("log_input", True), ("full", False), _OLD[0], ("eps", 1e-8), _OLD[1], *_MEAN)
    ),
    "gaussian_nll_loss": Loss(VALUES, ("input", "target", "var"), (("full", False), ("eps", 1e-6), *_MEAN)),
    "hinge_embedding_loss": Loss(settings=(("margin", 1.0), *_OLD, *_MEAN)),
    "cosine_embedding_loss": Loss(VALUES, ("input1", "input2", "target"), (("margin", 0.0), *_OLD, *_MEAN)),
    "margin_ranking_loss": Loss(VALUES, ("input1", "input2", "target"), (("margin", 0.0), *_OLD, *_MEAN)),
    "triplet_margin_loss": Loss(
        VALUES,
        ("anchor", "positive", "negative"),
        (("margin", 1.0), ("p", 2.0), ("eps", 1e-6), ("swap", False), *_OLD, *_MEAN),
    ),
}
"""By the name of the function in torch.nn.functional."""

LOSS_LAYERS: dict[str, str] = {
    "CrossEntropyLoss": "cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "MultiLabelSoftMarginLoss": "multilabel_soft_margin_loss",
    "MultiMarginLoss": "multi_margin_loss",
    "MultiLabelMarginLoss": "multilabel_margin_loss",
    "SoftMarginLoss": "soft_margin_loss",
    "BCELoss": "binary_cross_entropy",
    "NLLLoss": "nll_loss",
    "NLLLoss2d": "nll_loss",
    "KLDivLoss": "kl_div",
    "CTCLoss": "ctc_loss",
    "MSELoss": "mse_loss",
    "L1Loss": "l1_loss",
    "SmoothL1Loss": "smooth_l1_loss",
    "HuberLoss": "huber_loss",
    "PoissonNLLLoss": "poisson_nll_loss",
    "GaussianNLLLoss": "gaussian_nll_loss",
    "HingeEmbeddingLoss": "hinge_embedding_loss",
    "CosineEmbeddingLoss": "cosine_embedding_loss",
    "MarginRankingLoss": "margin_ranking_loss",
    "TripletMarginLoss": "triplet_margin_loss",
}
"""The classes of torch.nn by the loss that they compute."""
