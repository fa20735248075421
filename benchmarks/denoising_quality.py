# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Denoising of real cubes that no weights of ours have been trained on.

Three AVIRIS scenes and two EnMAP tiles, scaled to [0, 1] from their lowest number to
their 99.9 % quantile, get noise of a fixed seed; each method gets the noisy cube and
nothing else. Scores are MPSNR in dB, MSSIM and mean spectral angle in degrees, without
clamping. BM4D takes minutes, so it runs on crops, beside the best of the others there.
The last line is one JSON object.

    python benchmarks/denoising_quality.py --quick
    python benchmarks/denoising_quality.py --out
    python benchmarks/denoising_quality.py --methods fasthyde subspace:man_s:eigen

A method is a model; behind a first colon stands the denoiser of its eigen-images, or
several with a plus, and behind a second one the weights of the network among them.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import torch
from _real_cubes import DATA, HELD_BACK, NOISES, Scores, noisy_pair, score
from common import finish, header, option_parser
from torch import Tensor

from torchgeo_hsi.models import get_model, list_weights

#: Rows and columns of the crops for BM4D.
CROP = 24

#: Networks of which weights ship, for eigen-images.
NETWORKS = ('hsdt_s', 'man_s')

CLASSICAL = ('svd', 'hyres', 'lrtv', 'fasthyde', 'robust_subspace')

type Method = Callable[[Tensor], Tensor]


def list_methods() -> list[str]:
    """List the methods that can run here."""
    names = ['noisy', *CLASSICAL]
    if find_spec('bm3d'):
        names.append('fasthyde:bm3d')
    for network in NETWORKS:
        for weights in list_weights(network):
            names += with_weights(network, weights)
    return names


def with_weights(network: str, weights: str) -> list[str]:
    """List the methods that weights for eigen-images are good for."""
    return [
        f'{model}:{denoiser}{network}:{weights}'
        for model in ('subspace', 'robust_subspace')
        for denoiser in ('', 'collaborative+')
    ]


def build(name: str) -> Method:
    """Build a method from its model, denoiser and weights; see the top."""
    if name == 'noisy':
        return torch.clone
    model, *options = name.split(':')
    words: dict[str, Any] = {}
    if options:
        denoiser, *weights = options
        words['denoiser'] = denoiser.split('+') if '+' in denoiser else denoiser
        if weights:
            words |= {'weights': weights[0], 'ensemble': True}
    return get_model(model, **words).eval()


def timed(method: Method, noisy: Tensor) -> tuple[Tensor, float]:
    """Run a method and return its result and the processor time in seconds."""
    start = time.process_time()
    with torch.inference_mode():
        result = method(noisy)
    return result, time.process_time() - start


def mean(scores: list[Scores]) -> Scores:
    """Return the mean of scores."""
    return Scores(*torch.tensor(scores, dtype=torch.float64).mean(0).tolist())


def show(noise: str, name: str, scores: Mapping[str, Scores], seconds: float) -> None:
    """Print a row of the table."""
    total = mean(list(scores.values()))
    cells = ' '.join(f'{s.mpsnr:6.2f}' for s in scores.values())
    print(
        f'{noise:15s} {name:24s} {cells} | {total.mpsnr:6.2f} dB {total.mssim:.3f} '
        f'{total.sam:6.2f}° {seconds:7.1f} s',
        flush=True,
    )


def run(
    names: list[str], cubes: tuple[str, ...], noises: tuple[str, ...], seed: int
) -> dict[str, Any]:
    """Score methods.

    Args:
        names: Methods.
        cubes: Cubes.
        noises: Noises.
        seed: Seed of the noise.

    Returns:
        Scores of each method and noise: of each cube, and their mean.
    """
    table: dict[str, Any] = {name: {} for name in names}
    for noise in noises:
        for name in names:
            method, scores, seconds = build(name), {}, 0.0
            for cube in cubes:
                noisy, clean = noisy_pair(cube, noise, seed)
                denoised, spent = timed(method, noisy)
                scores[cube] = score(denoised, clean)
                seconds += spent
            show(noise, name, scores, seconds)
            table[name][noise] = {
                **mean(list(scores.values()))._asdict(),
                'seconds': seconds,
                'cubes': {cube: s._asdict() for cube, s in scores.items()},
            }
    return table


def crops(names: list[str], cubes: tuple[str, ...], seed: int) -> dict[str, Any]:
    """Score methods and BM4D on crops with noise of level 30."""
    table: dict[str, Any] = {}
    for name in names:
        method, scores, seconds = build(name), {}, 0.0
        for cube in cubes:
            pair = noisy_pair(cube, 'gaussian_30', seed)
            noisy, clean = (image[..., :CROP, :CROP] for image in pair)
            denoised, spent = timed(method, noisy)
            scores[cube] = score(denoised, clean)
            seconds += spent
        show('crop, level 30', name, scores, seconds)
        table[name] = {**mean(list(scores.values()))._asdict(), 'seconds': seconds}
    return table


def best(table: Mapping[str, Any], noises: tuple[str, ...]) -> dict[str, str]:
    """Name the method with the highest MPSNR for each noise."""
    return {
        noise: max(table, key=lambda name: table[name][noise]['mpsnr'])
        for noise in noises
    }


def main() -> None:
    """Run the benchmark."""
    parser = option_parser('denoising_quality', __doc__)
    parser.add_argument('--methods', nargs='*', help='methods; all by default')
    args: argparse.Namespace = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f'there are no real cubes in {DATA} (TORCHGEO_HSI_DATA)')
    torch.set_num_threads(args.threads)
    names = args.methods or list_methods()
    if args.quick and not args.methods:
        names = [name for name in names if not name.endswith(':bm3d')]
    cubes = ('enmap_96_0', 'enmap_128_128') if args.quick else HELD_BACK
    noises = ('gaussian_30', 'mixture') if args.quick else NOISES
    table = run(names, cubes, noises, args.seed)
    result = {**header('denoising_quality', args), 'scores': table}
    result['best'] = best(table, noises)
    if find_spec('bm4d') and not args.quick:
        result['crops'] = crops([*names, 'bm4d'], HELD_BACK[:2], args.seed)
    finish(result, args.out)


if __name__ == '__main__':
    main()
