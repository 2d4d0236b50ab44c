"""`torch.nn.functional.multi_head_attention_forward`: attention that is given its weights."""

from __future__ import annotations

from gradlint.graph.recorder import Recorder
from gradlint.graph.values import Signal, Weight, setting, signals
from gradlint.records.graph import Setting
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import Known, Value

_DATA = ("query", "key", "value")
_WIDTH, _HEADS, _SHARED, _SHARED_BIAS, _OUT, _OUT_BIAS, _SEPARATE = 3, 4, 5, 6, 11, 12, 18
"""Positions of the width, of the number of heads and of the weights among the parameters."""


def multihead(recorder: Recorder, arguments: Arguments, site: Site) -> Signal | None:
    """What is attended to, projected; None where the data or a weight are not given."""
    shared, width = arguments.get(_SHARED, "in_proj_weight"), arguments.get(_WIDTH, "embed_dim_to_check")
    bias, heads = arguments.get(_SHARED_BIAS, "in_proj_bias"), arguments.get(_HEADS, "num_heads")
    projected: list[Signal] = []
    for position, name in enumerate(_DATA):
        data = arguments.get(position, name)
        own = arguments.get(_SEPARATE + position, f"{name[0]}_proj_weight")
        made = _projected(recorder, data, own if _is_given(own) else shared, bias, width, site)
        if made is None:
            return None
        projected.append(made)
    settings: dict[str, Setting] = {"heads": setting(heads.value) if heads is not None else None}
    attended = Operand(recorder.emit("attention", projected, site, settings), site.node)
    weight, bias = arguments.get(_OUT, "out_proj_weight"), arguments.get(_OUT_BIAS, "out_proj_bias")
    return _projected(recorder, attended, weight, bias, width, site)


def _projected(
    recorder: Recorder,
    data: Operand | None,
    weight: Operand | None,
    bias: Operand | None,
    width: Operand | None,
    site: Site,
) -> Signal | None:
    """Data times a weight, plus a bias."""
    if data is None or weight is None:
        return None
    signal, added = recorder.signal(data.value, site), bias.value if bias is not None else Known(None)
    if not isinstance(weight.value, Weight):
        inputs = (signal, recorder.signal(weight.value, site))
        return _shifted(recorder, recorder.emit("matmul", inputs, site), added, site)
    shape, size = weight.value.shape, setting(width.value) if width is not None else None
    into = shape[1] if shape is not None and len(shape) == 2 else size
    parameters: dict[str, Value] = {"weight": weight.value}
    if isinstance(added, Weight):
        parameters["bias"] = added
    settings: dict[str, Setting] = {"in_features": into, "out_features": size, "bias": "bias" in parameters}
    made = recorder.emit("linear", (signal,), site, settings, None, parameters)
    return made if "bias" in parameters else _shifted(recorder, made, added, site)


def _shifted(recorder: Recorder, signal: Signal, by: Value, site: Site) -> Signal:
    """A signal plus a bias that the model computes."""
    if not isinstance(by, Weight) and next(signals(by), None) is None:
        return signal
    return recorder.emit("add", (signal, recorder.signal(by, site)), site)


def _is_given(operand: Operand | None) -> bool:
    return operand is not None and not (isinstance(operand.value, Known) and operand.value.value is None)
