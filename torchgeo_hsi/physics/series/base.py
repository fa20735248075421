# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What all orthogonal series have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import BandMismatchError


class Series(ABC):
    """Functions on the unit interval as sums of orthogonal functions.

    A function is a tensor of real coefficients along one axis, of any number of other
    axes: batches, channels, and the axes of other series, so that products of series
    describe functions of several variables. All operations are linear or polynomial in
    the coefficients, exact up to rounding, and have gradients.

    Used without an object's own state: ``Chebyshev()`` equals any other one.
    """

    #: Name for configurations.
    name: ClassVar[str]

    @abstractmethod
    def nodes(
        self,
        count: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Return the collocation points.

        Args:
            count: Number of points, which is the number of coefficients.
            dtype: Data type.
            device: Device.

        Returns:
            Points in [0, 1], shape ``(count,)``.

        Raises:
            ValueError: If there are too few points for the series.
        """

    @abstractmethod
    def basis(self, count: int, x: Tensor) -> Tensor:
        """Evaluate the basis functions.

        Args:
            count: Number of functions.
            x: Points of shape ``(M,)``; [0, 1] is the domain.

        Returns:
            Values of shape ``(M, count)``.
        """

    @abstractmethod
    def transform(self, values: Tensor, dim: int = -1) -> Tensor:
        """Turn values at the :meth:`nodes` into coefficients.

        Args:
            values: Real values.
            dim: Axis of the points.

        Returns:
            As many coefficients along the same axis.
        """

    @abstractmethod
    def inverse(self, coefficients: Tensor, dim: int = -1) -> Tensor:
        """Turn coefficients into values at as many :meth:`nodes`.

        Args:
            coefficients: Coefficients.
            dim: Their axis.

        Returns:
            Values along the same axis.
        """

    @abstractmethod
    def resize(self, coefficients: Tensor, count: int, dim: int = -1) -> Tensor:
        """Cut off the highest terms, or add terms of 0.

        Args:
            coefficients: Coefficients.
            count: Number of terms wanted.
            dim: Axis of the coefficients.

        Returns:
            As many coefficients along the same axis.
        """

    @abstractmethod
    def differentiate(
        self, coefficients: Tensor, order: int = 1, dim: int = -1
    ) -> Tensor:
        """Compute the coefficients of a derivative.

        Args:
            coefficients: Coefficients.
            order: Order of the derivative, 0 or more.
            dim: Axis of the coefficients.

        Returns:
            As many coefficients along the same axis.

        Raises:
            ValueError: If *order* is negative.
        """

    @abstractmethod
    def integrate(self, coefficients: Tensor, dim: int = -1) -> Tensor:
        """Compute the coefficients of the antiderivative that is 0 at 0.

        Args:
            coefficients: Coefficients.
            dim: Their axis.

        Returns:
            Coefficients along the same axis, one more where the series needs it.
        """

    @abstractmethod
    def parseval_weights(
        self,
        count: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Return the squared norm of each basis function, under :meth:`weight`.

        So the integral of ``weight(x) u(x)**2`` over [0, 1] is the sum of these times
        the squared coefficients (Parseval).

        Args:
            count: Number of functions.
            dtype: Data type.
            device: Device.

        Returns:
            Weights of shape ``(count,)``.
        """

    @abstractmethod
    def weight(self, x: Tensor) -> Tensor:
        """Return the weight under which the basis functions are orthogonal.

        Args:
            x: Points in (0, 1).

        Returns:
            The weight at each of them.
        """

    def evaluate(self, coefficients: Tensor, x: Tensor, dim: int = -1) -> Tensor:
        """Evaluate functions anywhere.

        Args:
            coefficients: Coefficients.
            x: Points of shape ``(M,)``.
            dim: Axis of the coefficients.

        Returns:
            Values, with *M* points along this axis.
        """
        if not coefficients.is_floating_point():
            # points as whole numbers would be 0 and 1
            coefficients = coefficients.to(torch.get_default_dtype())
        basis = self.basis(coefficients.shape[dim], x.to(coefficients))
        return apply_matrix(basis, coefficients, dim)

    def multiply(self, a: Tensor, b: Tensor, dim: int = -1) -> Tensor:
        """Multiply functions, without aliasing.

        Args:
            a: Coefficients of one factor.
            b: Coefficients of the other; other axes broadcast.
            dim: Axis of the coefficients.

        Returns:
            Coefficients of the product, as many as those of both factors together.
        """
        count = a.shape[dim] + b.shape[dim]
        left = self.inverse(self.resize(a, count, dim), dim)
        right = self.inverse(self.resize(b, count, dim), dim)
        return self.transform(left * right, dim)

    def add(self, a: Tensor, b: Tensor, dim: int = -1) -> Tensor:
        """Add functions with different numbers of coefficients.

        Args:
            a: Coefficients.
            b: Coefficients; other axes broadcast.
            dim: Axis of the coefficients.

        Returns:
            Coefficients of the sum, as many as the longer one has.
        """
        count = max(a.shape[dim], b.shape[dim])
        return self.resize(a, count, dim) + self.resize(b, count, dim)

    def square_norm(self, coefficients: Tensor, dim: int = -1) -> Tensor:
        """Integrate squared functions over [0, 1], under :meth:`weight`.

        Args:
            coefficients: Coefficients.
            dim: Their axis.

        Returns:
            Integrals, without this axis.
        """
        weights = self.parseval_weights(
            coefficients.shape[dim], coefficients.dtype, coefficients.device
        )
        return apply_matrix(weights[None], coefficients.square(), dim).squeeze(dim)

    def __eq__(self, other: object) -> bool:
        """Series of the same kind are equal."""
        return type(self) is type(other)

    def __hash__(self) -> int:
        """Return a hash that fits :meth:`__eq__`."""
        return hash(type(self))

    def __repr__(self) -> str:
        """Return the name of the class."""
        return f'{type(self).__name__}()'


def apply_matrix(matrix: Tensor, values: Tensor, dim: int) -> Tensor:
    """Multiply one axis of a tensor by a matrix.

    Args:
        matrix: Matrix of shape ``(M, N)``.
        values: Tensor with *N* entries along the axis.
        dim: The axis.

    Returns:
        Tensor with *M* entries along the axis.
    """
    return (values.movedim(dim, -1) @ matrix.T).movedim(-1, dim)


def kept[T](make: Callable[..., T]) -> Callable[..., T]:
    """Keep tensors that follow from numbers, whoever asks for them first.

    That may be a validation without gradients, or a network that is built on another
    device; what is kept is for all.

    Args:
        make: Function of hashable arguments.

    Returns:
        The function, whose results must not be changed.
    """

    @lru_cache(maxsize=64)
    def find(*args: Hashable) -> T:
        with torch.device('cpu'), torch.inference_mode(False):
            return make(*args)

    return find


def check_count(count: int, least: int, series: str) -> None:
    """Check a number of coefficients.

    Args:
        count: The number.
        least: Smallest number that the series can do with.
        series: Name of the series, for the message.

    Raises:
        BandMismatchError: If there are fewer.
    """
    if count < least:
        raise BandMismatchError(
            f'Expected at least {least} coefficients of a {series} series, got {count}.'
        )


def check_order(order: int) -> None:
    """Check the order of a derivative.

    Args:
        order: The order.

    Raises:
        ValueError: If it is negative.
    """
    if order < 0:
        raise ValueError(
            f'Expected a derivative of order 0 or more, got {order}. Use integrate for '
            'antiderivatives.'
        )
