# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""rho-PNN: one small network, tuned to each band without any reference."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from ...._precision import optimizing
from ....errors import BandMismatchError, EmptyDataError
from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from ..base import Pansharpener
from ..pair import Margins, Pair
from .bands import correlations, find_scale, group_bands, usable_bands
from .losses import PanStatistics, SpectralTarget, band_signs
from .network import SCOPE, RhoNetwork
from .options import RhoPNNOptions
from .patches import Candidates, Patch, choose
from .samples import Samples
from .tuning import BandRecord, State, Tuner, iteration_caps, precision_of

#: Candidates for patches that are kept of a scene.
_KEPT = 16

#: Rows and columns of a PAN that the network can mirror.
_LEAST = 4


class RhoPNN(Pansharpener):
    """rho-PNN: zero-shot pansharpening, band by band.

    A network of three convolutions adds details of the PAN to one band at a time. There
    is no training set: it is tuned on the very image. The result has to follow the PAN
    locally (spatial loss, ``1 - |rho|``), but only as long as it is, in the eyes of the
    cube's sensor, closer to the cube than a fraction of what the interpolated band is
    (spectral loss): above this threshold, the spatial loss is switched off. So all bands
    end with about the same relative spectral quality. Bands come in their order; each
    begins with the network and the optimizer of the one before.

    * https://doi.org/10.1109/TGRS.2025.3583877

    The default, :meth:`RhoPNNOptions.fast`, gets there with a small part of the
    computations; :meth:`RhoPNNOptions.full` and :meth:`RhoPNNOptions.reduced` are the
    published procedures. Not done, as it changes no weights in the published code: the
    mean of ten networks before the pre-training. Patches are chosen by simpler features
    than those of a network for photographs.

    Values are divided by a scale, for which the learning rate has been published; see
    *scale*. A band without contrast stays interpolated. Nothing of an image is kept,
    except for :attr:`records`. A scene in tiles is tuned once:

    .. code-block:: python

        for cube, pan, margins in tiles:
            model.observe(cube, pan, margins=margins)
        model.settle()
        sharpened = [model(cube, pan, margins=margins) for cube, pan, margins in tiles]
        model.forget()

    Example:
        >>> options = RhoPNNOptions.fast(pretrain_epochs=1, base_steps=1, spread=0)
        >>> model = RhoPNN(options)
        >>> model(torch.rand(1, 2, 12, 12), torch.rand(1, 1, 72, 72)).shape
        torch.Size([1, 2, 72, 72])
        >>> [record.band for record in model.records]
        [0, 1]
    """

    needs_scene = True
    passes = 1
    knows_margins = True

    def __init__(
        self,
        options: RhoPNNOptions | None = None,
        scale: float | None = None,
        gain: float = 0.3,
        seed: int = 0,
        progress: Callable[[BandRecord], None] | None = None,
        interpolation: Method = 'ideal',
        boundary: Edge = 'symmetric',
    ) -> None:
        """Initialize a new RhoPNN instance.

        Args:
            options: All numbers of the method; :meth:`RhoPNNOptions.fast` by default.
            scale: Values are divided by it, and the result is multiplied by it. By
                default 65536, as published, for digital numbers (if the median of the
                cube lies between 3000 and 65536), and else ten times the median. The
                learning rates depend on it: they fit to values of about 0.1.
            gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
            seed: Seed of the first weights and of the order in the pre-training. The
                global source of random numbers is neither used nor changed.
            progress: Called with the record of each band when it is done.
            interpolation: ``'ideal'`` or ``'bicubic'``.
            boundary: ``'symmetric'``, or ``'circular'`` as published.

        Raises:
            ValueError: If *scale* is not positive.
        """
        super().__init__(gain, interpolation=interpolation, boundary=boundary)
        if scale is not None and not scale > 0:
            raise ValueError(
                f'Expected a positive scale, got {scale}: what images are divided by, '
                'such as 65536 for digital numbers of PRISMA.'
            )
        self.options = options or RhoPNNOptions.fast()
        self.scale, self.seed, self.progress = scale, seed, progress
        #: How the last tuning went, band by band.
        self.records: list[BandRecord] = []
        self._candidates = Candidates(self.options.patch, _KEPT)
        self._states: list[State | None] | None = None
        self._scale = 1.0

    @property
    def is_settled(self) -> bool:
        """Whether the network of a scene is used, and no input is tuned to."""
        return self._states is not None

    def sharpen(self, pair: Pair) -> Tensor:
        """Tune to each image and sharpen it, or sharpen as the scene has settled.

        Args:
            pair: Cube and PAN.

        Returns:
            Cubes of shape ``(B, C, H, W)``.

        Raises:
            BandMismatchError: If it has settled on a scene with other bands.
            ValueError: If the PAN is smaller than 4 x 4 pixels.
        """
        states = self._states
        if states is not None and len(states) != pair.cube.shape[1]:
            raise BandMismatchError(
                f'rho-PNN has settled on a scene with {len(states)} bands, got '
                f'{pair.cube.shape[1]}. Call forget() first.'
            )
        whole, kind = pair.whole, pair.cube.dtype
        self._check_size(whole.pan)
        results = []
        with optimizing(pair.cube.device):
            images = (whole.cube, whole.pan, whole.up)
            for number in range(len(whole.cube)):
                cube, pan, up = (x[number : number + 1].float().clone() for x in images)
                scale, found = self._scale, states
                if found is None:
                    valid = pair.low_counting
                    inner = (pair.crop_low(cube), pair.crop(pan), pair.crop(up))
                    area = Patch(
                        inner[0],
                        inner[1],
                        Margins(),
                        self.views,
                        inner[2],
                        None if valid is None else valid[number : number + 1],
                    )
                    scale = self.scale or find_scale(inner[0])
                    found = self._tune([area], area.tiles(self.options.patch), scale)
                results.append(self._sharpen(found, up, pan, scale, pair))
        return torch.cat(results).to(kind)

    def observe(
        self,
        cube: Tensor,
        pan: Tensor,
        *,
        valid: Tensor | None = None,
        pan_valid: Tensor | None = None,
        counting: Tensor | None = None,
        margins: Margins | None = None,
        **inputs: Any,
    ) -> None:
        """Take patches of a tile as candidates for those that will be tuned on.

        At most sixteen candidates are kept, the most different ones.

        Args:
            cube: Cubes of shape ``(B, C, h, w)``.
            pan: PANs of shape ``(B, 1, H, W)``.
            valid: True for pixels of the cube with data, shape ``(B, h, w)``.
            pan_valid: The same for the PAN, shape ``(B, H, W)``.
            counting: True for pixels on the PAN's grid that no tile before has brought,
                shape ``(B, H, W)``; all by default.
            margins: Coarse pixels at the edges that do not count.
            **inputs: Other arguments of ``forward``, not used.

        Raises:
            BandMismatchError: If the shapes do not fit, or the tiles before had another
                number of bands.
            EmptyDataError: If an image has no valid pixel.
        """
        pair = self.make_pair(
            cube, pan, valid, pan_valid, margins=margins, counting=counting
        )
        before = self._candidates.patches
        if before and before[0].cube.shape[1] != cube.shape[1]:
            raise BandMismatchError(
                f'The tiles before had {before[0].cube.shape[1]} bands, got '
                f'{cube.shape[1]}. Call forget() before another scene.'
            )
        mask = pair.low_counting
        with optimizing(cube.device), torch.no_grad():
            for number in range(len(cube)):
                part = slice(number, number + 1)
                area = Patch(
                    pair.whole.cube[part].float(),
                    pair.pan[part].float(),
                    pair.margins,
                    self.views,
                    None,
                    None if mask is None else mask[part],
                )
                self._candidates.add(area)

    def settle(self) -> None:
        """Tune the network to each band of the scene, and use that from now on.

        Raises:
            EmptyDataError: If no valid pixel was observed.
        """
        patches = self._candidates.patches
        if not patches or min(patch.gaps for patch in patches) == 1:
            raise EmptyDataError(
                'rho-PNN has observed no valid pixel of the scene. Call observe() with '
                'its tiles before settle().'
            )
        self._check_size(patches[0].pan)
        with optimizing(patches[0].cube.device):
            flat = torch.cat([patch.inner.flatten() for patch in patches])
            self._scale = self.scale or find_scale(flat)
            self._states = self._tune(patches, patches, self._scale)
        self._candidates = Candidates(self.options.patch, _KEPT)

    def forget(self) -> None:
        """Go back to tuning on each input, the default; records stay."""
        self._candidates = Candidates(self.options.patch, _KEPT)
        self._states = None
        self._scale = 1.0

    def _tune(
        self, areas: list[Patch], candidates: list[Patch], scale: float
    ) -> list[State | None]:
        """Return the weights for each band; None for bands without contrast."""
        self.records = []
        options = self.options
        patches = choose(candidates, options.patches)
        tuner = Tuner(options, patches[0].cube.device, self.seed)
        usable = usable_bands(patches)
        if usable:
            size = min(options.pretrain_patch, *patches[0].inner.shape[-2:])
            tiles = [tile for area in areas for tile in area.tiles(size)]
            tuner.pretrain(self._samples(choose(tiles, None), [usable[0]], scale))
        alike = correlations(patches)
        caps = iteration_caps(alike, options.base_steps, options.spread)
        states: list[State | None] = [None] * patches[0].cube.shape[1]
        done: list[BandRecord] = []
        for group in group_bands(usable, alike, options):
            cap = max(caps[band] for band in group)
            for bands in self._rounds(tuner, patches, group, scale, cap, done):
                state = tuner.state()
                for band in bands:
                    states[band] = state
        flat = sorted(set(range(len(states))) - set(usable))
        done += [BandRecord(band, 0.0, 0.0, 0.0) for band in flat]
        self.records = sorted(done, key=lambda record: record.band)
        return states

    def _rounds(
        self,
        tuner: Tuner,
        patches: list[Patch],
        group: list[int],
        scale: float,
        cap: int,
        done: list[BandRecord],
    ) -> Iterator[list[int]]:
        """Tune a group, and then those of its bands alone that are not good enough."""
        records = tuner.tune(self._samples(patches, group, scale), group, cap)
        missed = [r for r in records if r.final > r.upper] if len(group) > 1 else []
        done += [record for record in records if record not in missed]
        yield [record.band for record in records]
        for old in missed:
            samples = self._samples(patches, [old.band], scale)
            done += tuner.tune(samples, [old.band], cap)
            yield [old.band]
        if self.progress is not None:
            for record in done[-len(group) :]:
                self.progress(record)

    def _samples(self, patches: list[Patch], bands: list[int], scale: float) -> Samples:
        ratio = patches[0].ratio
        pan = torch.cat([patch.pan for patch in patches]) / scale
        pans = pan.repeat(len(bands), 1, 1, 1)
        statistics = PanStatistics(pans, ratio)
        up = (
            torch.cat([patch.band(band) for band in bands for patch in patches]) / scale
        )
        cube = torch.cat(
            [patch.inner[:, band : band + 1] for band in bands for patch in patches]
        )
        kernel = self.options.kernel(ratio)
        target = SpectralTarget(cube / scale, ratio, self.views.gain, kernel)
        sign = None
        if self.options.sign == 'band':
            sign = band_signs(up, pans, ratio, len(bands))
        return Samples(up, pans, statistics, target, len(bands), sign=sign)

    @torch.no_grad()
    def _sharpen(
        self,
        states: list[State | None],
        up: Tensor,
        pan: Tensor,
        scale: float,
        pair: Pair,
    ) -> Tensor:
        """Sharpen an image with margins, and cut them off."""
        keep = -(-SCOPE // pair.ratio)
        extra = Margins(*(max(0, margin - keep) for margin in pair.margins))
        rest = Margins(*(m - e for m, e in zip(pair.margins, extra, strict=True)))
        rows, cols = extra.slices(pair.ratio)
        up, pan = up[..., rows, cols] / scale, pan[..., rows, cols] / scale
        network = RhoNetwork().to(up.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        bands = []
        for number, state in enumerate(states):
            band = up[:, number : number + 1]
            if state is not None:
                network.load_state_dict(state)
                with precision_of(self.options, up.device):
                    band = network(band, pan)
            bands.append(band)
        image = torch.cat(bands, 1) * scale
        return image[(..., *rest.slices(pair.ratio))]

    @staticmethod
    def _check_size(pan: Tensor) -> None:
        if min(pan.shape[-2:]) < _LEAST:
            raise ValueError(
                f'Expected a PAN of at least {_LEAST} x {_LEAST} pixels, which the '
                f'network can mirror, got {pan.shape[-2]} x {pan.shape[-1]}. Take a '
                'larger part of the scene, or the method exp.'
            )


@register_model
def rho_pnn(
    preset: Literal['fast', 'full', 'reduced'] = 'fast',
    scale: float | None = None,
    gain: float = 0.3,
    seed: int = 0,
    interpolation: Method = 'ideal',
    boundary: Edge = 'symmetric',
    **options: Any,
) -> RhoPNN:
    """Build :class:`RhoPNN`.

    Args:
        preset: ``'fast'``, or as published for images at full or reduced resolution.
        scale: What values are divided by; found by default.
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        seed: Seed of the first weights.
        interpolation: ``'ideal'`` or ``'bicubic'``.
        boundary: ``'symmetric'``, or ``'circular'`` as published.
        **options: Options of :class:`RhoPNNOptions` that differ from the preset.

    Returns:
        The method.

    Raises:
        ValueError: If an option is out of its range, or there is no such preset.

    Example:
        >>> rho_pnn('full', lr=2e-5).options.lr
        2e-05
    """
    presets = {
        'fast': RhoPNNOptions.fast,
        'full': RhoPNNOptions.full,
        'reduced': RhoPNNOptions.reduced,
    }
    if preset not in presets:
        raise ValueError(f'Expected one of {", ".join(presets)}, got {preset!r}.')
    made = presets[preset](**options)
    return RhoPNN(made, scale, gain, seed, None, interpolation, boundary)
