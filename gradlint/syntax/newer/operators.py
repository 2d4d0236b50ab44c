"""Operators, alone and in augmented assignments."""

from __future__ import annotations

import ast

import libcst as cst

from gradlint.syntax.newer.tree import Conversion


def _operator(kind: type[ast.AST]) -> Conversion:
    return lambda _tree, _node: kind()


OPERATORS: dict[type, Conversion] = {
    concrete: _operator(abstract)
    for abstract, *alternatives in (
        (ast.Add, cst.Add, cst.AddAssign),
        (ast.Sub, cst.Subtract, cst.SubtractAssign),
        (ast.Mult, cst.Multiply, cst.MultiplyAssign),
        (ast.MatMult, cst.MatrixMultiply, cst.MatrixMultiplyAssign),
        (ast.Div, cst.Divide, cst.DivideAssign),
        (ast.FloorDiv, cst.FloorDivide, cst.FloorDivideAssign),
        (ast.Mod, cst.Modulo, cst.ModuloAssign),
        (ast.Pow, cst.Power, cst.PowerAssign),
        (ast.LShift, cst.LeftShift, cst.LeftShiftAssign),
        (ast.RShift, cst.RightShift, cst.RightShiftAssign),
        (ast.BitAnd, cst.BitAnd, cst.BitAndAssign),
        (ast.BitOr, cst.BitOr, cst.BitOrAssign),
        (ast.BitXor, cst.BitXor, cst.BitXorAssign),
        (ast.UAdd, cst.Plus),
        (ast.USub, cst.Minus),
        (ast.Invert, cst.BitInvert),
        (ast.Not, cst.Not),
        (ast.And, cst.And),
        (ast.Or, cst.Or),
        (ast.Eq, cst.Equal),
        (ast.NotEq, cst.NotEqual),
        (ast.Lt, cst.LessThan),
        (ast.LtE, cst.LessThanEqual),
        (ast.Gt, cst.GreaterThan),
        (ast.GtE, cst.GreaterThanEqual),
        (ast.Is, cst.Is),
        (ast.IsNot, cst.IsNot),
        (ast.In, cst.In),
        (ast.NotIn, cst.NotIn),
    )
    for concrete in alternatives
}
