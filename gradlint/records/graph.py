"""What a model computes: the graph of its forward pass, with every layer's parameters as constructed."""

from __future__ import annotations

from msgspec import Struct

from gradlint.records.span import Span

Setting = float | int | str | bool | tuple[int | None, ...] | None


DRAWING = "drawing"
"""The setting that numbers what is drawn at one place again and again, layer by layer."""


TRANSPOSED = "transposed"
"""The setting of what multiplies by the transpose of a weight."""


class Place(Struct, frozen=True):
    """A piece of source text."""

    path: str
    span: Span


class Initial(Struct, frozen=True):
    """What a parameter holds once the model is constructed.

    `scheme` is the name of torch's initialiser without module and underscores ("kaiming_uniform",
    "xavier_normal", "orthogonal", "normal", "uniform", "trunc_normal", "constant", "zeros", "ones",
    "eye", "dirac", "sparse"); "default" is what the layer's own `reset_parameters` does, "empty" is
    memory that nothing wrote, "unknown" anything else. `settings` holds the initialiser's arguments by
    the names of its parameters, torch's defaults left out ({"std": 0.02}); one that is not known is
    None. `factor` multiplies the result afterwards. `place` is where that was written.
    """

    scheme: str = "default"
    settings: dict[str, Setting] = {}
    factor: float = 1.0
    place: Place | None = None


class Piece(Struct, frozen=True):
    """What was written to the rows from `start` up to `stop` of a parameter; None where not known."""

    start: int | None
    stop: int | None
    initial: Initial


class Parameter(Struct, frozen=True):
    """A parameter of a layer: the name within the model, its shape (None where unknown), its values.

    `pieces` were written to single rows afterwards, the last one last. `made` is where it, or the layer
    that it belongs to, is constructed.
    """

    path: str
    shape: tuple[int | None, ...] | None = None
    initial: Initial = Initial()
    is_trained: bool = True
    made: Place | None = None
    pieces: tuple[Piece, ...] = ()


class Node(Struct, frozen=True):
    """One operation of the forward pass; `inputs` are numbers of earlier nodes.

    `op` is the name of the operation in `torch.nn.functional`'s spelling, whatever form the code has
    ("linear", "conv2d", "relu", "layer_norm", "add"); `settings` its hyper-parameters by torch's
    names. `parameters` are those of the layer by their local names ("weight", "bias", "weight_hh").
    `module` is the layer's path in the model ("blocks.3.fc1"), empty for a function. `place` is where
    the operation is written; `made` where its layer is constructed. `callers` are the calls that led
    there, the outermost first.

    A loss is a node as well ("cross_entropy", "mse_loss"), whether of a layer or of a function: its first
    input is what the model gives, its second the target. No gradient is followed behind it.
    """

    number: int
    op: str
    inputs: tuple[int, ...] = ()
    settings: dict[str, Setting] = {}
    parameters: dict[str, Parameter] = {}
    module: str = ""
    place: Place | None = None
    made: Place | None = None
    callers: tuple[Place, ...] = ()


class Unapplied(Struct, frozen=True):
    """An initialiser called `name` that changes no weight of the model.

    `reason` is "unmatched" where `apply` ran it and no module passed its tests, "uncalled" where nothing
    calls it, "replaced" where the layers that it drew gave way to others, "dropped" where a copy is changed
    that nothing keeps. `place` is the call of `apply`, the definition, the new layer, or the change; `path`
    the weight that is left as it was, where it is one.
    """

    name: str
    reason: str
    place: Place
    path: str = ""


class Severed(Struct, frozen=True):
    """A step that trained parameters lie behind, and past which no other path leads to a result.

    `op` is what the step is ("detach", "argmax", "compare"), `by` how it is written ("item", "tensor",
    "no_grad"). `is_optional` where a constant decided that it is done, `is_everything` if nothing else
    that the forward pass returns carries a gradient, `is_last` if no parameters lie between it and the end.
    """

    op: str
    by: str
    place: Place
    parameters: tuple[Parameter, ...]
    is_optional: bool = False
    is_everything: bool = False
    is_last: bool = False


class Unused(Struct, frozen=True):
    """A part of a model, by its path, whose parameters nothing in the class reads; where it is made."""

    path: str
    place: Place
    parameters: tuple[Parameter, ...]


class ModelGraph(Struct, frozen=True):
    """What one forward pass of a model computes, inputs first.

    `arguments` are the constructor arguments that are known, as text. `outputs` are the nodes that
    forward returns. `reasons` counts what was not understood, each of which is a node "unknown".
    `parameters` are all that the model holds, those that its forward pass does not reach included.
    `severed` are the steps at which the gradient of some is lost, `unused` the parts that nothing reads,
    `unapplied` initialisers without effect. `states` are the variables that a loop of unknown length
    computes anew: the nodes that stand for one at the start of an iteration, -1 for none, and at its end.
    `kept` are attributes in which a forward pass leaves a tensor with its graph that the next one uses;
    they are looked for only where that is asked. `uncounted` are the places where the constructor iterates
    how often is not known, each of which counts as one iteration.
    `is_recast` says that a block of it may compute in another precision than the rest.
    """

    name: str
    place: Place
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    arguments: dict[str, str] = {}
    reasons: dict[str, int] = {}
    parameters: tuple[Parameter, ...] = ()
    severed: tuple[Severed, ...] = ()
    unused: tuple[Unused, ...] = ()
    unapplied: tuple[Unapplied, ...] = ()
    states: tuple[tuple[int, int], ...] = ()
    kept: tuple[str, ...] = ()
    is_recast: bool = False
    uncounted: tuple[Place, ...] = ()
