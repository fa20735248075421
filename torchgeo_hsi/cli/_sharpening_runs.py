# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Methods of pansharpening on pairs: scores, time and memory of each."""

import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from ..errors import EmptyDataError, HSIError

if TYPE_CHECKING:
    from torch import Tensor

#: Reduced resolution has a truth, full resolution does not look at one.
Protocol = Literal['reduced', 'full']

PROTOCOLS: tuple[Protocol, ...] = ('reduced', 'full')

#: Scores of each protocol, best first where they are sorted; True if more is better.
SCORES: dict[Protocol, dict[str, bool]] = {
    'reduced': {
        'ERGAS': False,
        'SAM_deg': False,
        'Q2n': True,
        'CC': True,
        'RMSE': False,
    },
    'full': {
        'D_lambda_K': False,
        'D_S': False,
        'D_S_R': False,
        'D_rho': False,
        'HQNR': True,
        'RQNR': True,
        'R_ERGAS': False,
        'R_SAM_deg': False,
        'R_Q2n': True,
    },
}

#: Seconds between two looks at the memory.
_PAUSE = 0.005

#: Scores of blocks, and why there are none.
_OF_BLOCKS = ('Q2n', 'R_Q2n', 'D_lambda_K', 'HQNR')
_BLOCKS = 'less than a half of each block of 32 x 32 pixels counts'

#: Why there are none of the others.
_PLAIN = 'an image has no valid pixel, no contrast, or a mean of 0'

_STATM = Path('/proc/self/statm')


@dataclass
class SharpeningRun:
    """One method on one pair.

    Args:
        cube: Name of the pair.
        protocol: Whether it has a truth.
        method: Name of the method.
        scores: Scores by name.
        seconds: Time of the method.
        memory: Memory beyond what was held before, at the peak, in MiB; None where that
            is not known.
        missing: Why a score cannot be computed, by its name.
        error: Why there are no scores, or None.
        image: The sharpened cube of shape ``(C, H, W)``, for pictures; not kept long.
    """

    cube: str
    protocol: Protocol
    method: str
    scores: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    memory: float | None = None
    error: str | None = None
    image: Any = None

    def tell_missing(self) -> list[str]:
        """Say for each reason which scores cannot be computed."""
        return [
            f'no {", ".join(n for n, why in self.missing.items() if why == reason)}: '
            f'{reason}'
            for reason in sorted(set(self.missing.values()))
        ]

    def row(self) -> dict[str, Any]:
        """Return everything that can be written to a table."""
        return {
            'cube': self.cube,
            'protocol': self.protocol,
            'method': self.method,
            **self.scores,
            **dict.fromkeys(self.missing),
            'seconds': self.seconds,
            'memory_mib': self.memory,
            'error': self.error,
            'missing': '; '.join(self.tell_missing()) or None,
        }


class PeakMemory:
    """How much memory work takes beyond what was there before.

    Args:
        device: Where the work is done.
    """

    def __init__(self, device: str) -> None:
        """Initialize a new PeakMemory instance; see the class for the arguments."""
        self._device = device
        self._start: int | None = None
        self._peak = 0
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        """Begin to look."""
        import torch

        if self._device.startswith('cuda'):
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            self._start = torch.cuda.memory_allocated(self._device)
            return self
        self._start = self._peak = _resident() or 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(_PAUSE):
            self._peak = max(self._peak, _resident() or 0)

    def __exit__(self, *error: object) -> None:
        """Stop looking."""
        import torch

        if self._device.startswith('cuda'):
            torch.cuda.synchronize(self._device)
            self._peak = torch.cuda.max_memory_allocated(self._device)
            return
        self._peak = max(self._peak, _resident() or 0)
        self._stop.set()
        self._thread.join()

    @property
    def mebibytes(self) -> float | None:
        """The result; None where the system does not tell."""
        if not self._start:
            return None
        return (self._peak - self._start) / 2**20


def _resident() -> int | None:
    """Return the memory of this process in bytes, if the system tells."""
    if not _STATM.exists():
        return None
    return int(_STATM.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def run_method(
    name: str,
    build: Callable[[], Any],
    pair: Mapping[str, Any],
    cube: str,
    protocol: Protocol,
    *,
    device: str,
    border: int,
    gain: float,
) -> SharpeningRun:
    """Sharpen a pair and score the result.

    Args:
        name: Name of the method.
        build: Makes it.
        pair: Sample of a pair, with a target at reduced resolution.
        cube: Name of the pair.
        protocol: Which scores to compute.
        device: Where to sharpen.
        border: Fine pixels at each side that count in no score.
        gain: Gain of the cube's sensor, for scores without a truth.

    Returns:
        The run; what the method refuses is in its ``error``.
    """
    import torch

    run = SharpeningRun(cube, protocol, name)
    model = build().to(device).eval()
    if model.wavelength is None and 'wavelength' in pair:
        model.wavelength = pair['wavelength'].tolist()
    inputs = {
        key: pair[key][None].to(device)
        for key in ('image', 'pan', 'valid', 'pan_valid')
        if key in pair
    }
    image, pan = inputs.pop('image'), inputs.pop('pan')
    try:
        with PeakMemory(device) as memory, torch.inference_mode():
            start = time.perf_counter()
            result = model(image, pan, **inputs)
            if device.startswith('cuda'):
                torch.cuda.synchronize(device)
            run.seconds = time.perf_counter() - start
    except (HSIError, ValueError, RuntimeError) as error:
        run.error = str(error).strip().splitlines()[0]
        return run
    run.memory = memory.mebibytes
    run.image = result[0].float().cpu()
    found = score(run.image, pair, protocol, border, gain)
    run.scores = {key: value for key, value in found.items() if math.isfinite(value)}
    run.missing = {
        key: _BLOCKS if key in _OF_BLOCKS else _PLAIN
        for key in found
        if key not in run.scores
    }
    return run


def check_size(
    pair: Mapping[str, Any], cube: str, protocol: Protocol, border: int
) -> None:
    """Refuse a pair of which the border leaves nothing to be scored.

    Args:
        pair: Sample of the pair.
        cube: Name of the pair.
        protocol: Which scores will be computed.
        border: Fine pixels at each side that count in no score.

    Raises:
        EmptyDataError: If no pixel is left.
    """
    height, width = pair['pan'].shape[1:]
    if protocol == 'reduced' and min(height, width) <= 2 * border:
        raise EmptyDataError(
            f'A border of {border} pixels leaves none of the {height} x {width} pixels '
            f'of {cube} at reduced resolution. Pass --border '
            f'{max((min(height, width) - 1) // 4, 0)}, a larger --size, or a larger cube.'
        )


def score(
    image: 'Tensor',
    pair: Mapping[str, Any],
    protocol: Protocol,
    border: int,
    gain: float,
) -> dict[str, float]:
    """Score a sharpened cube.

    Args:
        image: Cube of shape ``(C, H, W)``.
        pair: Sample of the pair.
        protocol: Which scores to compute.
        border: Fine pixels at each side that count in no score.
        gain: Gain of the cube's sensor.

    Returns:
        Scores by name.
    """
    import torch

    pan = pair['pan']
    pan_valid = pair.get('pan_valid')
    if pan_valid is None:
        pan_valid = torch.ones(pan.shape[1:], dtype=torch.bool)
    inner = torch.zeros_like(pan_valid)
    inner[border : pan.shape[1] - border, border : pan.shape[2] - border] = True
    if protocol == 'reduced':
        return _reduced(image, pair, pan_valid & inner)
    # blocks of the cube's grid have no border to leave out
    return _full(image, pair, pan_valid, gain)


def _reduced(
    image: 'Tensor', pair: Mapping[str, Any], valid: 'Tensor'
) -> dict[str, float]:
    from ..metrics import cross_correlation, ergas, mean_spectral_angle, q2n, rmse
    from ..physics.resampling.decimate import repeat_pixels

    target = pair['target']
    ratio = pair['pan'].shape[-1] // pair['image'].shape[-1]
    if pair.get('valid') is not None:
        valid = valid & repeat_pixels(pair['valid'], ratio)
    found = {
        'ERGAS': ergas(image, target, ratio, valid=valid),
        'SAM_deg': mean_spectral_angle(image, target, valid, 'degrees'),
        'Q2n': q2n(image, target, valid=valid),
        'CC': cross_correlation(image, target, valid=valid),
        'RMSE': rmse(image, target, valid=valid),
    }
    return {name: float(value) for name, value in found.items()}


def _full(
    image: 'Tensor', pair: Mapping[str, Any], pan_valid: 'Tensor', gain: float
) -> dict[str, float]:
    from ..metrics import DS, DSR, HQNR, RERGAS, RQNR, RSAM, DLambdaK, DRho, RQ2n

    metrics = {
        'D_lambda_K': DLambdaK(gain=gain),
        'D_S': DS(),
        'D_S_R': DSR(),
        'D_rho': DRho(),
        'HQNR': HQNR(gain=gain),
        'RQNR': RQNR(gain=gain),
        'R_ERGAS': RERGAS(gain=gain),
        'R_SAM_deg': RSAM(gain=gain),
        'R_Q2n': RQ2n(gain=gain),
    }
    found = {}
    for name, metric in metrics.items():
        metric.update(image, pair['image'], pair['pan'], pair.get('valid'), pan_valid)
        found[name] = float(metric.compute())
    return found
