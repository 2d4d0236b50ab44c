"""What errors of Python and torch say, as far as it tells what another value should be."""

from __future__ import annotations

import re

WANTS_WHOLE_NUMBERS = re.compile(
    r"indices must be|tensors used as indices|Long|scalar types?.*[Ii]nt|index_select|one_hot|int64"
    r"|as an index"
)
WANTS_FLOATS = re.compile(r"[Ff]loat|floating|Half|not implemented for|same dtype|type Long but|ByteTensor")
WANTS_TRUTH = re.compile(r"bool|Bool|Byte|mask")
WANTS_TENSORS = re.compile(
    r"must be (a )?(tuple|list)|argument 'tensors'|expected.*(list|tuple) of [Tt]ensors|cat\(\)|stack\(\)"
    r"|unpack|isinstance|'list'|length|zip|len\("
)
WANTS_NUMBER = re.compile(
    r"'Tensor'|Tensor' object|Tensor\)|int\b|integer|must be tuple of ints|only (integer|one element)"
    r"|ambiguous|scalar"
)
WANTS_SEQUENCE = re.compile(
    r"not (iterable|subscriptable)|has no len|unpack|must be an iterable|can only concatenate list"
    r"|argument after \*|not reversible"
)
