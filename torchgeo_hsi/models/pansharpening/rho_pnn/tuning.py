# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tune the network of rho-PNN to one band after the other."""

import copy
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .network import RhoNetwork
from .options import RhoPNNOptions
from .samples import Losses, Samples
from .switch import Switch, search_weight

#: Weights of the network by name.
type State = dict[str, Tensor]


@dataclass
class BandRecord:
    """How the tuning to a band went.

    Args:
        band: Position of the band.
        min_spec: Spectral loss of the interpolated band; values are divided by the scale.
            0 if the band is the same everywhere, and has been left interpolated.
        lower: Spectral loss below which the spatial loss is switched on.
        upper: Spectral loss above which it is switched off.
        weight: Weight of the spatial loss that the search found; None without a search.
        spectral: Spectral loss in each iteration.
        spatial: Spatial loss in each iteration.
        weights: Weight of the spatial loss in each iteration; 0 where it was off.
        final: Spectral loss of the result.
        final_spatial: Spatial loss of the result.
        seconds: Time of the tuning; its share for bands of a group.

    Example:
        >>> record = BandRecord(band=3, min_spec=0.01, lower=0.00585, upper=0.0065)
        >>> record.iterations, record.on
        (0, [])
    """

    band: int
    min_spec: float
    lower: float
    upper: float
    weight: float | None = None
    spectral: list[float] = field(default_factory=list)
    spatial: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    final: float = math.nan
    final_spatial: float = math.nan
    seconds: float = 0.0

    @property
    def iterations(self) -> int:
        """Number of iterations."""
        return len(self.spectral)

    @property
    def on(self) -> list[bool]:
        """Whether the spatial loss was on in each iteration."""
        return [weight > 0 for weight in self.weights]


def iteration_caps(
    correlations: Sequence[float], base: int, spread: float
) -> list[int]:
    """Give most iterations to bands that are least like the one before.

    Args:
        correlations: Correlation of each band with the one before, from the second band
            on; NaN for bands without any contrast.
        base: Iterations that each band may have (N1).
        spread: How many more times as many it may have, on average (eta).

    Returns:
        Most iterations of each band; the first may have as many as the second.

    Example:
        >>> iteration_caps([0.99, 0.97], base=80, spread=30)
        [1280, 1280, 3680]
    """
    unlike = [1 - value for value in correlations]
    known = [value for value in unlike if math.isfinite(value)]
    mean = math.fsum(known) / len(known) if known else 0.0
    # bands that are all the same, or say nothing, are like the others
    shares = [
        value / mean if math.isfinite(value) and mean > 0 else 1.0 for value in unlike
    ] or [1.0]
    # quotients of equal numbers have to give the whole number
    caps = [base + math.floor(spread * base * share + 1e-9) for share in shares]
    return [caps[0], *caps] if correlations else caps


class Tuner:
    """A network, its optimizer, and what is done with both.

    Args:
        options: All numbers.
        device: Where to compute.
        seed: Seed of the first weights and of the order in the pre-training.
    """

    def __init__(
        self, options: RhoPNNOptions, device: torch.device, seed: int = 0
    ) -> None:
        """Initialize a new Tuner instance; see the class for the arguments."""
        self.options, self.device = options, device
        self.generator = torch.Generator().manual_seed(seed)
        network = RhoNetwork(self.generator).to(device)
        self.network = network.to(memory_format=torch.channels_last)
        # one for all bands: its moments go on from band to band
        self.adam = torch.optim.Adam(self.network.parameters(), options.lr)

    def state(self) -> State:
        """Return a copy of the weights."""
        return {k: v.clone() for k, v in self.network.state_dict().items()}

    def forward(self, up: Tensor, pan: Tensor) -> Tensor:
        """Apply the network with the precision of the options.

        Args:
            up: Interpolated bands of shape ``(N, 1, H, W)``.
            pan: PANs of shape ``(N, 1, H, W)`` or ``(1, 1, H, W)``.

        Returns:
            Sharpened bands of shape ``(N, 1, H, W)``.
        """
        with precision_of(self.options, self.device):
            image: Tensor = self.network(up, pan)
        return image

    def pretrain(self, samples: Samples) -> None:
        """Tune the network to tiles of the first band.

        Args:
            samples: The tiles.
        """
        options = self.options
        self._learn_with(options.pretrain_lr or options.lr)
        left = options.pretrain_steps
        on = 0.0
        switch = Switch(
            options.lower, options.upper, options.control, options.pretrain_beta
        )
        average: list[Tensor] | None = None
        for _ in range(options.pretrain_epochs):
            order = torch.randperm(len(samples), generator=self.generator)
            for index in torch.split(order.to(self.device), options.pretrain_batch):
                if left == 0 or on >= (options.pretrain_on_steps or math.inf):
                    break
                left = None if left is None else left - 1
                part = samples.select(index)
                image = self.forward(part.up, part.pan)
                losses = part.losses(image)
                share = float(part.share(losses.spectral))
                on += self._step(losses, switch.update(share)) / (switch.weight or 1)
                if average is not None or switch.is_reached(share):
                    average = self._average(average)
        self._load(average)
        self._learn_with(options.lr)

    def tune(
        self, samples: Samples, bands: Sequence[int], cap: int
    ) -> list[BandRecord]:
        """Tune the network to one band, or to several that share it.

        Args:
            samples: Patches of the bands.
            bands: Positions of the bands.
            cap: Most iterations.

        Returns:
            How it went for each band.
        """
        start = time.perf_counter()
        options = self.options
        records = self._records(samples, bands)
        switch = Switch(options.lower, options.upper, options.control)
        if not options.search:
            switch.weight = options.beta
        average: list[Tensor] | None = None
        on, reached = 0.0, False
        for number in range(cap):
            part = samples.turn(number)
            losses = part.losses(self.forward(part.up, part.pan))
            shares = part.share(losses.spectral)
            share = float(shares.mean())
            beta = switch.update(share)
            spatial = losses.spatial.detach().reshape(len(bands), -1).mean(1)
            _write(records, shares.tolist(), spatial.tolist(), beta)
            before = float(losses.spectral.detach().mean())
            self._step(losses, beta)
            if switch.weight is None and share < options.lower:
                switch.weight = self._search(part, before)
            reached = reached or switch.is_reached(share)
            if reached and switch.weight is not None:
                average = self._average(average)
                on += beta / switch.weight
            if on >= options.on_steps:
                break
        self._load(average)
        self._finish(samples, records)
        for record in records:
            record.weight = switch.weight
            record.seconds = (time.perf_counter() - start) / len(records)
        return records

    def _records(self, samples: Samples, bands: Sequence[int]) -> list[BandRecord]:
        least = samples.least.reshape(len(bands), -1).mean(1).tolist()
        lower, upper = self.options.lower, self.options.upper
        return [
            BandRecord(band, value, lower * value, upper * value)
            for band, value in zip(bands, least, strict=True)
        ]

    @torch.no_grad()
    def _finish(self, samples: Samples, records: list[BandRecord]) -> None:
        """Write the losses of the final weights, band by band."""
        count = len(samples) // len(records)
        for number, record in enumerate(records):
            index = torch.arange(number * count, (number + 1) * count)
            part = samples.select(index.to(self.device))
            losses = part.losses(self.forward(part.up, part.pan))
            record.final = float(losses.spectral.mean())
            record.final_spatial = float(losses.spatial.mean())

    def _step(self, losses: Losses, beta: float) -> float:
        """Make a step, and return the weight of the spatial loss."""
        loss = losses.spectral.mean()
        if beta > 0:
            loss = loss + beta * losses.spatial.mean()
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        return beta

    def _search(self, samples: Samples, before: float) -> float:
        """Find the weight of the spatial loss, and leave everything as it was."""
        saved = copy.deepcopy((self.network.state_dict(), self.adam.state_dict()))

        def attempt(beta: float) -> float:
            for _ in range(2):
                image = self.forward(samples.up, samples.pan)
                self._step(samples.losses(image), beta)
            with torch.no_grad():
                image = self.forward(samples.up, samples.pan)
                after = float(samples.target.losses(image).mean())
            self.network.load_state_dict(saved[0])
            # Adam takes over what it is given
            self.adam.load_state_dict(copy.deepcopy(saved[1]))
            return after

        options = self.options
        return search_weight(
            options.beta, options.tolerance, options.halvings, before, attempt
        )

    @torch.no_grad()
    def _average(self, average: list[Tensor] | None) -> list[Tensor]:
        """Take the weights into their moving mean."""
        weights = list(self.network.parameters())
        if average is None:
            return [weight.detach().clone() for weight in weights]
        for mean, weight in zip(average, weights, strict=True):
            mean.lerp_(weight, 1 - self.options.decay)
        return average

    @torch.no_grad()
    def _load(self, average: list[Tensor] | None) -> None:
        """Go on with the mean of the weights, if there is one."""
        if average is not None:
            for weight, mean in zip(self.network.parameters(), average, strict=True):
                weight.copy_(mean)

    def _learn_with(self, rate: float) -> None:
        for group in self.adam.param_groups:
            group['lr'] = rate


def precision_of(
    options: RhoPNNOptions, device: torch.device
) -> AbstractContextManager[object]:
    """Return the context in which convolutions have the precision of the options.

    Args:
        options: The options.
        device: Where is computed.

    Returns:
        The context.
    """
    low = options.precision == 'bfloat16'
    if options.precision == 'auto':
        low = _knows_bfloat16(device)
    # inside of another context, a cache would keep weights of steps ago
    return torch.autocast(device.type, torch.bfloat16, enabled=low, cache_enabled=False)


def _write(
    records: list[BandRecord],
    shares: Sequence[float],
    spatial: Sequence[float],
    beta: float,
) -> None:
    for record, share, loss in zip(records, shares, spatial, strict=True):
        # of the whole band: a part of its patches may be less easy than another
        record.spectral.append(share * record.min_spec)
        record.spatial.append(loss)
        record.weights.append(beta)


def _knows_bfloat16(device: torch.device) -> bool:
    """Tell whether a processor computes with bfloat16 by itself."""
    if device.type == 'cuda':
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch before 2.11 does not tell
    known: dict[str, Any] = getattr(torch.cpu, 'get_capabilities', dict)()
    return any(known.get(name) for name in ('avx512_bf16', 'amx_bf16'))
