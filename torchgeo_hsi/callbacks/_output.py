# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What kind of raster to write, and how it describes itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.colors import to_rgba

from ..datasets.plotting import CLASS_COLORS
from ..errors import BandMismatchError
from ..physics import BandSet
from ._encode import ClassEncoder, Encoder, class_encoder, value_encoder

type Kind = Literal['classes', 'probabilities', 'cube', 'regression']


@dataclass(frozen=True)
class OutputOptions:
    """The options that concern the values of the raster.

    Args:
        kind: What to write.
        dtype: Data type on disk.
        nodata: Value of pixels without a prediction.
        class_values: Code of each class.
        class_names: Name of each class or band.
        colors: Color of each class.
        scale: Factor from stored numbers to values.
        offset: Summand after the factor.
        overview_resampling: Resampling of the overviews.
        denormalize: Whether the normalization is undone before.

    Raises:
        ValueError: If an option would have no effect or is not understood.
    """

    kind: Kind
    dtype: str | None = None
    nodata: float | None = None
    class_values: Sequence[int] | None = None
    class_names: Sequence[str] | None = None
    colors: Sequence[str] | None = None
    scale: float = 1.0
    offset: float = 0.0
    overview_resampling: str | None = None
    denormalize: bool = False

    def __post_init__(self) -> None:
        """Refuse options that would have no effect."""
        kinds = ('classes', 'probabilities', 'cube', 'regression')
        if self.kind not in kinds:
            raise ValueError(f'Expected an output out of {kinds}, got {self.kind!r}.')
        given = {
            'class_values': (self.class_values is not None, ('classes',)),
            'colors': (self.colors is not None, ('classes',)),
            'class_names': (
                self.class_names is not None,
                ('classes', 'probabilities', 'regression'),
            ),
            'scale': (self.scale != 1, ('probabilities', 'cube', 'regression')),
            'offset': (self.offset != 0, ('probabilities', 'cube', 'regression')),
            'denormalize': (self.denormalize, ('cube', 'regression')),
        }
        for name, (is_set, allowed) in given.items():
            if is_set and self.kind not in allowed:
                raise ValueError(
                    f'{name} has no effect on output={self.kind!r}, only on '
                    f'{", ".join(allowed)}. Leave it out.'
                )
        if self.kind == 'classes' and self.dtype not in (None, 'uint8', 'uint16'):
            raise ValueError(
                f'Expected uint8 or uint16 for classes, got dtype={self.dtype!r}.'
            )
        for color in self.colors or ():
            to_rgba(color)
        if self.kind != 'classes':
            self._value_encoder()

    def encoder(self, num_values: int, hparams: Mapping[str, Any]) -> Encoder:
        """Build the encoder for a number of predicted values per pixel.

        Args:
            num_values: Number of channels of the prediction.
            hparams: Hyperparameters of the task.

        Returns:
            The encoder.

        Raises:
            BandMismatchError: If codes, names or colors are not as many as classes.
            ValueError: If codes, nodata and data type contradict each other, or the
                task has no single class per pixel.
        """
        count = max(num_values, 2) if self.kind == 'classes' else num_values
        for name in ('class_names', 'colors'):
            values = getattr(self, name)
            if values is not None and len(values) != count:
                raise BandMismatchError(
                    f'Expected {name} for {count} {self.kind}, got {len(values)}.'
                )
        if self.kind != 'classes':
            return self._value_encoder()
        if hparams.get('task') == 'multilabel':
            raise ValueError(
                'A multilabel task has no single class per pixel. Use '
                "output='probabilities'."
            )
        return class_encoder(
            num_values,
            self.class_values,
            self.dtype,
            self.nodata,
            hparams.get('ignore_index'),
        )

    def _value_encoder(self) -> Encoder:
        probabilities = self.kind == 'probabilities'
        return value_encoder(
            self.dtype, self.nodata, self.scale, self.offset, probabilities
        )

    def describe(
        self,
        encoder: Encoder,
        num_values: int,
        hparams: Mapping[str, Any],
        datamodule: Any,
        bands: BandSet | None,
    ) -> dict[str, Any]:
        """Collect what the raster says about itself.

        Args:
            encoder: The encoder.
            num_values: Number of channels of the prediction.
            hparams: Hyperparameters of the task; its ``labels`` are the names where
                the options give none.
            datamodule: The datamodule, or None; its ``class_names`` and
                ``class_colors`` come next.
            bands: Spectral axis of the channels; used for cubes.

        Returns:
            Arguments for :class:`~torchgeo_hsi.io.CubeWriter`.
        """
        count = len(encoder.codes) if isinstance(encoder, ClassEncoder) else num_values
        sources = (hparams.get('labels'), getattr(datamodule, 'class_names', None))
        names = self.class_names or _fitting(sources, count)
        options: dict[str, Any] = {'overview_resampling': self.overview_resampling}
        if isinstance(encoder, ClassEncoder):
            codes = [int(code) for code in encoder.codes]
            colors = self.colors or _fitting(
                (getattr(datamodule, 'class_colors', None),), count
            )
            options['colormap'] = dict(zip(codes, _rgba(colors, count), strict=True))
            if names is not None:
                options['class_names'] = dict(zip(codes, names, strict=True))
            return options
        options |= {'scale': encoder.scale, 'offset': encoder.offset}
        if self.kind == 'cube':
            options['bands'] = bands
        elif names is not None:
            options['descriptions'] = list(names)
        return options


def _fitting(sources: Iterable[Any], count: int) -> Sequence[str] | None:
    """Return the first list that has one entry for each class."""
    for values in sources:
        if isinstance(values, list | tuple) and len(values) == count:
            return values
    return None


def _rgba(colors: Sequence[str] | None, count: int) -> list[tuple[int, ...]]:
    cycle = colors or CLASS_COLORS
    chosen = [cycle[i % len(cycle)] for i in range(count)]
    return [tuple(round(255 * v) for v in to_rgba(color)) for color in chosen]
