"""The cells of an image as the transformer meets them: what is known, and what a prompt adds."""

from dataclasses import dataclass

from torch import Tensor

from samkit.export.graph import Operand, Value
from samkit.export.layers import centred, product


@dataclass(frozen=True)
class Rectangle:
    """Some cells of a grid: from (top, left) up to (bottom, right), int64."""

    start: Value
    end: Value
    grid: tuple[int, int]

    def cut(self, image: Value) -> Value:
        """From h x w x C these cells: n x C."""
        return _rows(image.slice(self.start, self.end, 0, 1))

    def cut_columns(self, rows: Value) -> Value:
        """From K x N the columns of these cells: K x n."""
        flat = rows.reshape(0, *self.grid).slice(self.start, self.end, 1, 2)
        return flat.graph("Flatten", flat, axis=1)

    def spread(self, cells: Value) -> Value:
        """n x C to h x w x C, 0 in all other cells."""
        return self._padded(cells, cells.graph.integers(-1), last=True)

    def spread_columns(self, rows: Value) -> Value:
        """K x n to K x N, 0 in all other cells."""
        padded = self._padded(rows, rows.graph.integers(0), last=False)
        return padded.graph("Flatten", padded, axis=1)

    def _padded(self, values: Value, other: Value, last: bool) -> Value:
        """The cells in their place on the grid; `other` is the size of the other axis."""
        graph = values.graph
        none = graph.integers(0)

        def beside(sizes: Value, one: Value) -> list[Value]:
            return [sizes, one] if last else [one, sizes]

        shape = graph.concat(beside(self.end - self.start, other), axis=0)
        after = graph.integers(*self.grid) - self.end
        margins = graph.concat([*beside(self.start, none), *beside(after, none)], axis=0)
        return graph("Pad", graph("Reshape", values, shape), margins)


@dataclass(frozen=True)
class Cells:
    """The cells of an image, N x C, as `fixed + added @ into + shift`; only some may be added to.

    A mask prompt of a published model reaches the image by a matrix from 16 values a cell, a click
    of the bundled one only the cells around it. After a layer of the transformer nothing is fixed
    any more.
    """

    added: Value
    """N x R, or n x R of the cells in `where`: depends on the prompt."""
    fixed: Value | None = None
    """N x C, or h x w x C beside `where`: depends on the image alone; zero where None."""
    into: Tensor | None = None
    """R x C; the identity where None."""
    where: Rectangle | None = None
    """The cells that are added to; all where None."""
    shift: Tensor | None = None
    """C, the same for all cells, where nothing is fixed; zero where None."""

    def through(self, weight: Tensor, plus: Operand) -> Value:
        """All together @ weight + plus, of cells of which nothing is fixed."""
        assert self.into is not None and self.shift is not None and self.fixed is None
        return product(self.added, self.into @ weight, plus + self.shift @ weight)

    @property
    def whole(self) -> Value:
        """All together, N x C."""
        if self.where is not None:
            spread = self.where.spread(self.added)
            return _rows(spread if self.fixed is None else spread + self.fixed)
        if self.into is None:
            return self.added if self.fixed is None else self.added + self.fixed
        besides = self.shift if self.fixed is None else self.fixed
        return product(self.added, self.into, 0.0 if besides is None else besides)

    @property
    def centred(self) -> Value:
        """All together, every cell less its mean over the channels."""
        fixed = None if self.fixed is None else centred(self.fixed)
        if self.into is not None:
            into = self.into - self.into.mean(dim=-1, keepdim=True)
            return Cells(self.added, fixed, into, self.where).whole
        return Cells(centred(self.added), fixed, None, self.where).whole

    @property
    def known(self) -> Value | None:
        """What is fixed, N x C."""
        return self.fixed if self.fixed is None or self.where is None else _rows(self.fixed)

    def met_by(self, rows: Value) -> Value:
        """K x R against what is added to every cell: K x N."""
        met = rows @ self.added.permute(1, 0)
        return met if self.where is None else self.where.spread_columns(met)

    def weighed(self, weights: Value) -> Value:
        """The sums, by weights K x N, of what is added: K x R."""
        here = weights if self.where is None else self.where.cut_columns(weights)
        return here @ self.added


def _rows(grid: Value) -> Value:
    """h x w x C to N x C."""
    return grid.graph("Flatten", grid, axis=2)
