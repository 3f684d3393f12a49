"""Kernels of :mod:`nnbf.ansatz.values`: layers of a network for occupied rows only, small determinants.

Vectors are explicit where a compiler would not find them. Sums run over one determinant at a time and in one
order, so that no value depends on the others of a block.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hamiltonians.compiled import compiled

#: Columns of a panel of weights, and most rows of one pass over it (half as many of doubles): they fill the
#: vector registers.
PANEL, TILE = 16, 16
#: Determinants that are eliminated side by side.
LANES = 16
#: Edge of the square blocks in which their rows become columns.
EDGE = 8

_CONTRACT = ("contract",)
_INDEX = ir.IntType(64)


class _Vectors:
    """Vectors in an array of a kernel."""

    def __init__(self, context, builder, kind, array, width):
        self._builder, self._bytes = builder, kind.dtype.bitwidth // 8
        self._data = context.make_array(kind)(context, builder, array).data
        self.type = ir.VectorType(context.get_data_type(kind.dtype), width)

    def number(self, offset):
        """One number."""
        return self._builder.load(self._builder.gep(self._data, [offset]))

    def load(self, offset):
        """A vector."""
        return self._builder.load(self._at(offset), align=self._bytes)

    def store(self, value, offset):
        """Write a vector."""
        self._builder.store(value, self._at(offset), align=self._bytes)

    def _at(self, offset):
        return self._builder.bitcast(self._builder.gep(self._data, [offset]), self.type.as_pointer())


def _repeated(builder, number, width):
    """Vector of one number."""
    empty = ir.Constant(ir.VectorType(number.type, width), ir.Undefined)
    one = builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
    return builder.shuffle_vector(one, empty, zeros)


@intrinsic
def _product_tile(typingctx, x, x_at, panel, panel_at, depth, bias, bias_at, out, out_at, tile):
    """``out[out_at[tile + i]:] = x[x_at[tile + i]:] @ panel + bias[bias_at:]``, PANEL columns."""
    signature = types.void(x, x_at, panel, panel_at, depth, bias, bias_at, out, out_at, tile)

    def codegen(context, builder, signature, args):
        def vectors(which, width=PANEL):
            return _Vectors(context, builder, signature.args[which], args[which], width)

        x, panel, bias, out = (vectors(which) for which in (0, 2, 5, 7))
        # 64 bytes of rows: as many sums as hide the latency of the processor.
        rows_at_once = 512 // signature.args[0].dtype.bitwidth
        places = [builder.add(args[9], ir.Constant(_INDEX, i)) for i in range(rows_at_once)]
        rows = [vectors(1).number(place) for place in places]
        sums = [cgutils.alloca_once(builder, x.type) for _ in rows]
        for total in sums:
            builder.store(ir.Constant(x.type, [0.0] * PANEL), total)
        with cgutils.for_range(builder, args[4]) as loop:
            step = builder.mul(loop.index, ir.Constant(_INDEX, PANEL))
            weights = panel.load(builder.add(args[3], step))
            for row, total in zip(rows, sums, strict=True):
                number = _repeated(builder, x.number(builder.add(row, loop.index)), PANEL)
                product = builder.fmul(number, weights, flags=_CONTRACT)
                builder.store(builder.fadd(builder.load(total), product, flags=_CONTRACT), total)
        constant = bias.load(args[6])
        for place, total in zip(places, sums, strict=True):
            value = builder.load(total)
            if value.type != out.type:
                value = builder.fpext(value, out.type)
            out.store(builder.fadd(value, constant), vectors(8).number(place))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _sum_rows(typingctx, table, row_of, n, base, width, out, out_at):
    """``out[out_at:] = base + sum_i<n table[row_of[i]]``, ``width`` (a multiple of PANEL) columns."""
    signature = types.void(table, row_of, n, base, width, out, out_at)

    def codegen(context, builder, signature, args):
        table, row_of, base, out = (
            _Vectors(context, builder, signature.args[which], args[which], PANEL) for which in (0, 1, 3, 5)
        )
        n, width, out_at = args[2], args[4], args[6]
        total = cgutils.alloca_once(builder, out.type)
        with cgutils.for_range(builder, builder.udiv(width, ir.Constant(_INDEX, PANEL))) as panels:
            at = builder.mul(panels.index, ir.Constant(_INDEX, PANEL))
            builder.store(base.load(at), total)
            with cgutils.for_range(builder, n) as rows:
                row = builder.add(builder.mul(row_of.number(rows.index), width), at)
                builder.store(builder.fadd(builder.load(total), table.load(row)), total)
            out.store(builder.load(total), builder.add(out_at, at))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _eliminate_column(typingctx, a, n_rows, n_columns, k, product):
    """Step k of the elimination of LANES matrices with partial pivoting; ``product`` takes the pivots."""
    signature = types.void(a, n_rows, n_columns, k, product)

    def codegen(context, builder, signature, args):
        n_rows, n_columns, k = args[1:4]
        a = _Vectors(context, builder, signature.args[0], args[0], LANES)
        product = _Vectors(context, builder, signature.args[4], args[4], LANES)
        indices = ir.VectorType(_INDEX, LANES)
        after = builder.add(k, ir.Constant(_INDEX, 1))

        def at(i, j):
            place = builder.add(builder.mul(i, n_columns), j)
            return builder.mul(place, ir.Constant(_INDEX, LANES))

        def size(i):
            bits = builder.bitcast(a.load(at(i, k)), indices)
            return builder.bitcast(builder.and_(bits, ir.Constant(indices, [2**63 - 1] * LANES)), a.type)

        def below():
            return cgutils.for_range(builder, n_rows, start=after)

        largest = cgutils.alloca_once_value(builder, size(k))
        pivot_row = cgutils.alloca_once_value(builder, _repeated(builder, k, LANES))
        with below() as rows:
            found = size(rows.index)
            larger = builder.fcmp_ordered(">", found, builder.load(largest))
            builder.store(builder.select(larger, found, builder.load(largest)), largest)
            here = _repeated(builder, rows.index, LANES)
            builder.store(builder.select(larger, here, builder.load(pivot_row)), pivot_row)
        chosen = builder.load(pivot_row)

        def is_pivot(i):
            return builder.icmp_signed("==", chosen, _repeated(builder, i, LANES))

        def swapped(j):
            """Rows k and those of the pivots change places in column j: old and new row k."""
            old = a.load(at(k, j))
            new = cgutils.alloca_once(builder, a.type)
            builder.store(old, new)
            with below() as rows:
                taken = builder.select(is_pivot(rows.index), a.load(at(rows.index, j)), builder.load(new))
                builder.store(taken, new)
            a.store(builder.load(new), at(k, j))
            return old, builder.load(new)

        old, pivot = swapped(k)
        zero, one = (ir.Constant(a.type, [value] * LANES) for value in (0.0, 1.0))
        signed = builder.select(is_pivot(k), pivot, builder.fsub(zero, pivot))
        start = ir.Constant(_INDEX, 0)
        product.store(builder.fmul(product.load(start), signed), start)
        inverse = builder.select(builder.fcmp_ordered("==", pivot, zero), zero, builder.fdiv(one, pivot))
        with below() as rows:
            value = builder.select(is_pivot(rows.index), old, a.load(at(rows.index, k)))
            a.store(builder.fmul(value, inverse), at(rows.index, k))
        with cgutils.for_range(builder, n_columns, start=after) as columns:
            j = columns.index
            old, of_pivot = swapped(j)
            with below() as rows:
                value = builder.select(is_pivot(rows.index), old, a.load(at(rows.index, j)))
                share = builder.fmul(a.load(at(rows.index, k)), of_pivot, flags=_CONTRACT)
                a.store(builder.fsub(value, share, flags=_CONTRACT), at(rows.index, j))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _copy_transposed(typingctx, rows, row_at, column, width, out, out_at):
    """``out[out_at + j * LANES + lane] = rows[row_at[lane] + column + j]`` for j < width <= EDGE."""
    signature = types.void(rows, row_at, column, width, out, out_at)

    def codegen(context, builder, signature, args):
        rows, row_at, out = (
            _Vectors(context, builder, signature.args[which], args[which], EDGE) for which in (0, 1, 4)
        )
        for first in range(0, LANES, EDGE):
            lanes = [row_at.number(ir.Constant(_INDEX, first + lane)) for lane in range(EDGE)]
            block = [rows.load(builder.add(lane, args[2])) for lane in lanes]
            step = 1
            while step < EDGE:
                # Squares off the diagonal change places, of twice the size in every round.
                even = [e if not e & step else EDGE + e - step for e in range(EDGE)]
                odd = [e + step if not e & step else EDGE + e for e in range(EDGE)]
                for i in (i for i in range(EDGE) if not i & step):
                    pair = block[i], block[i + step]
                    for place, mask in ((i, even), (i + step, odd)):
                        chosen = ir.Constant(ir.VectorType(ir.IntType(32), EDGE), mask)
                        block[place] = builder.shuffle_vector(*pair, chosen)
                step *= 2
            for j, column in enumerate(block):
                with builder.if_then(builder.icmp_signed("<", ir.Constant(_INDEX, j), args[3])):
                    out.store(column, builder.add(args[5], ir.Constant(_INDEX, j * LANES + first)))
        return context.get_dummy_value()

    return signature, codegen


@compiled()
def first_layer(words, n_orbitals, by_charge, base, table, out, electrons):
    """Sums (n, width) of the rows of a table that determinants (n, 2 W) select, on top of ``base``.

    Row p stands for orbital p with an alpha electron, row M + p for one with a beta electron; ``by_charge``
    row p for an empty orbital, row M + p for a doubly occupied one. ``electrons`` (n, N + 1) is filled with
    the occupied spin orbitals, beta ones from M on.
    """
    half = words.shape[1] // 2
    width = base.size
    chosen = np.empty(n_orbitals + 1, np.int64)
    rows, result = table.reshape(-1), out.reshape(-1)
    for r in range(len(words)):
        n = 0
        for spin in range(2):
            for p in range(n_orbitals):
                electrons[r, n] = spin * n_orbitals + p
                word = words[r, spin * half + (p >> 6)]
                if (word >> np.uint64(p & 63)) & np.uint64(1):
                    n += 1
        if not by_charge:
            _sum_rows(rows, electrons[r], n, base, width, result, r * width)
            continue
        n = 0
        for p in range(n_orbitals):
            bit = np.uint64(p & 63)
            alpha, beta = words[r, p >> 6] >> bit, words[r, half + (p >> 6)] >> bit
            chosen[n] = p + n_orbitals if alpha & np.uint64(1) else p
            if not (alpha ^ beta) & np.uint64(1):
                n += 1
        _sum_rows(rows, chosen, n, base, width, result, r * width)


@compiled()
def dense_layer(x, panels, depth, bias, out):
    """``x @ kernel + bias`` for rows (n, stride), n a multiple of TILE, of a kernel in panels."""
    n = len(x)
    x_at, out_at = np.arange(n) * x.shape[1], np.arange(n) * out.shape[1]
    flat, weights, result = x.reshape(-1), panels.reshape(-1), out.reshape(-1)
    for c in range(len(panels)):
        for tile in range(0, n, 64 // x.itemsize):
            _product_tile(
                flat, x_at, weights, c * depth * PANEL, depth, bias, c * PANEL, result, out_at, tile
            )
        out_at += PANEL


@compiled()
def occupied_rows(electrons, n_orbitals, by_charge, x, panels, depth, bias, out, slot_of):
    """Rows of the last layer for the occupied orbitals of determinants.

    Args:
        electrons: (n, N + 1) of :func:`first_layer`.
        n_orbitals: M.
        by_charge: One row for an orbital with both electrons, instead of one for every spin orbital.
        x: (n, stride) what the last layer takes.
        panels: (orbitals, C, depth, PANEL) kernel.
        depth: Numbers of ``x`` that count.
        bias: (orbitals, C * PANEL).
        out: (n + 1, N, C * PANEL); the last is filled with what means nothing.
        slot_of: (n, N) is filled with the place in ``out`` of every electron.
    """
    n, n_kinds, n_panels = len(electrons), len(panels), panels.shape[1]
    n_slots, n_columns = out.shape[1], out.shape[2]
    counts = np.zeros(n_kinds, np.int64)
    of_kind = np.empty((n_kinds, n + TILE), np.int64)
    to_kind = np.empty((n_kinds, n + TILE), np.int64)
    last_of, place_of = np.full(n_kinds, -1), np.zeros(n_kinds, np.int64)
    for r in range(n):
        slot = 0
        for electron in range(n_slots):
            kind = electrons[r, electron]
            if by_charge and kind >= n_orbitals:
                kind -= n_orbitals
                if last_of[kind] == r:
                    slot_of[r, electron] = place_of[kind]
                    continue
            last_of[kind], place_of[kind] = r, slot
            of_kind[kind, counts[kind]] = r * x.shape[1]
            to_kind[kind, counts[kind]] = (r * n_slots + slot) * n_columns
            counts[kind] += 1
            slot_of[r, electron] = slot
            slot += 1
    flat, weights, result, constants = x.reshape(-1), panels.reshape(-1), out.reshape(-1), bias.reshape(-1)
    for kind in range(n_kinds):
        m = counts[kind]
        for i in range(m, m + TILE):
            of_kind[kind, i], to_kind[kind, i] = 0, n * n_slots * n_columns
        x_at, out_at = of_kind[kind], to_kind[kind]
        for c in range(n_panels):
            panel = kind * n_panels + c
            for tile in range(0, m, 64 // x.itemsize):
                _product_tile(
                    flat,
                    x_at,
                    weights,
                    panel * depth * PANEL,
                    depth,
                    constants,
                    panel * PANEL,
                    result,
                    out_at,
                    tile,
                )
            out_at += PANEL


@compiled()
def _eliminated(a, n_rows, n_columns, steps, product, logarithm):
    """First pivots of LANES matrices, as ``product * exp(logarithm)``; the rest of them is left in ``a``."""
    product[:] = 1.0
    logarithm[:] = 0.0
    for k in range(steps):
        _eliminate_column(a, n_rows, n_columns, k, product)
        if k % 4 == 3 or k == steps - 1:
            for lane in range(LANES):
                size = abs(product[lane])
                if (size > 1e60 or size < 1e-60) and size > 0.0:
                    logarithm[lane] += math.log(size)
                    product[lane] /= size


@compiled()
def _filled(a, rows, places, first, n, column, width, n_columns, at):
    """Copy ``width`` columns of the rows of n electrons from ``first`` into LANES matrices, from ``at``."""
    for i in range(n):
        for j in range(0, width, EDGE):
            into = (i * n_columns + at + j) * LANES
            _copy_transposed(rows, places[first + i], column + j, min(EDGE, width - j), a, into)


@compiled()
def _added(total, exponent, product, logarithm, weight):
    """Add ``weight * product * exp(logarithm)`` to ``total * exp(exponent)``, lane by lane."""
    for lane in range(LANES):
        value, power = weight * product[lane], logarithm[lane]
        if power == exponent[lane]:
            total[lane] += value
        elif value != 0.0:
            larger = power if total[lane] == 0.0 else max(power, exponent[lane])
            total[lane] = total[lane] * math.exp(min(exponent[lane] - larger, 0.0)) + value * math.exp(
                power - larger
            )
            exponent[lane] = larger


@compiled()
def sums_of_determinants(rows, slot_of, n_alpha, blocked, n_determinants, rotations, scratch, sign, log_abs):
    r"""Sign (0 where psi is) and log|psi|, (n,), from the occupied rows of :func:`occupied_rows`.

    A determinant that the rotations mix is, from A, B (C, D) the alpha and beta orbitals of alpha (beta)
    electrons and t the tangent,

    .. math:: \cos^N \det [[A, -t^2 B], [C, D]]

    so that the columns of A and C are eliminated once for all angles.

    Args:
        rows: (n + 1, N, columns).
        slot_of: (n, N).
        n_alpha: Alpha electrons.
        blocked: A determinant of each spin; else one of all electrons.
        n_determinants: Determinants, side by side in the columns.
        rotations: (A, 3) squared tangents, and factors, with the logarithm of a second one; (0, 3) for none.
        scratch: At least (2, N * 2 N * LANES).
        sign: Filled.
        log_abs: Filled.
    """
    n_rows, n = slot_of.shape
    n_beta, n_columns = n - n_alpha, rows.shape[2]
    a, b = scratch[0], scratch[1]
    flat = rows.reshape(-1)
    places = np.empty((n, LANES), np.int64)
    product, logarithm = np.empty(LANES), np.empty(LANES)
    other, other_log = np.empty(LANES), np.empty(LANES)
    total, exponent = np.empty(LANES), np.empty(LANES)
    for lo in range(0, n_rows, LANES):
        lanes = min(LANES, n_rows - lo)
        total[:] = 0.0
        exponent[:] = 0.0
        for electron in range(n):
            for lane in range(LANES):
                row = (lo + lane) * n + slot_of[lo + lane, electron] if lane < lanes else n_rows * n
                places[electron, lane] = row * n_columns
        for d in range(n_determinants):
            if blocked:
                _filled(a, flat, places, 0, n_alpha, d * n_alpha, n_alpha, n_alpha, 0)
                _eliminated(a, n_alpha, n_alpha, n_alpha, product, logarithm)
                _filled(b, flat, places, n_alpha, n_beta, d * n_beta, n_beta, n_beta, 0)
                _eliminated(b, n_beta, n_beta, n_beta, other, other_log)
                for lane in range(LANES):
                    product[lane] *= other[lane]
                    logarithm[lane] += other_log[lane]
                _added(total, exponent, product, logarithm, 1.0)
            elif len(rotations) == 0:
                _filled(a, flat, places, 0, n, d * n, n, n, 0)
                _eliminated(a, n, n, n, product, logarithm)
                _added(total, exponent, product, logarithm, 1.0)
            else:
                width = n + n_beta
                lower, beta = n_alpha * width, d * n + n_alpha
                for i in range(n):
                    zeros = (i * width + (n_alpha if i < n_alpha else n)) * LANES
                    for k in range(zeros, zeros + n_beta * LANES):
                        a[k] = 0.0
                _filled(a, flat, places, 0, n, d * n, n_alpha, width, 0)
                _filled(a, flat, places, 0, n_alpha, beta, n_beta, width, n)
                _filled(a, flat, places, n_alpha, n_beta, beta, n_beta, width, lower + n_alpha)
                _eliminated(a, n, width, n_alpha, product, logarithm)
                for angle in range(len(rotations)):
                    for i in range(n_beta):
                        row = (lower + i * width + n_alpha) * LANES
                        into = i * n_beta * LANES
                        for j in range(n_beta * LANES):
                            b[into + j] = a[row + j] - rotations[angle, 0] * a[row + n_beta * LANES + j]
                    _eliminated(b, n_beta, n_beta, n_beta, other, other_log)
                    for lane in range(LANES):
                        other[lane] *= product[lane]
                        other_log[lane] += logarithm[lane] + rotations[angle, 2]
                    _added(total, exponent, other, other_log, rotations[angle, 1])
        for lane in range(lanes):
            sign[lo + lane] = np.sign(total[lane])
            log_abs[lo + lane] = (
                exponent[lane] + math.log(abs(total[lane])) if total[lane] != 0.0 else -np.inf
            )
