# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

r"""Put trained weights of super-resolution into the package, with a card and a check sum.

    torchgeo fit --config configs/superresolution/essaformer_eigen.yaml
    python benchmarks/superresolution_weights.py essaformer eigen \\
        --checkpoint output/superresolution/essaformer_eigen/checkpoints/last.ckpt

The card says what the weights were trained on and how good they are, against
interpolation, on cubes that were held back, measured here. The last line is one JSON
object.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from _real_cubes import DATA, HELD_BACK
from _weight_files import FOLDER, read_config, save, training_facts
from common import finish, header, option_parser
from superresolution_quality import make_pairs, run

from torchgeo_hsi.models import (
    BandWindowSuperResolver,
    SubspaceSuperResolver,
    SuperResolver,
    get_model,
)

CARD = """# {model}, weights "{name}"

{about}

```python
from torchgeo_hsi.models import get_model

model = get_model('pretrained_superresolution', scale={scale}).eval()
```

## Training

`torchgeo fit --config configs/superresolution/{config}`, seed {seed}.

{cubes}
- Pairs: crops, made coarse by antialiased bicubic interpolation, as `imresize` of MATLAB.
- {input}
- {steps} steps of {batch_size} crops of {patch_size} x {patch_size} coarse pixels and
  {num_bands} bands, loss {loss}, AdamW, highest learning rate {lr}, {hours:.1f} h on one
  core (torch {torch}).
- {parameters} parameters, float32.

## Scores

x{scale}, on the cubes that were held back, scaled to [0, 1] and made coarse as in training:
MPSNR in dB, MSSIM, and spectral angle in degrees
(`python benchmarks/superresolution_quality.py`).{ensemble}

{table}

## Limits

- Bicubic coarsening without noise. Where a sensor blurs more, the result is less sharp
  than it could be.
- Bands that hold little but noise gain nothing, and may lose some decibels.
- Pixels of 4 to 30 m. What a network has not seen it may interpolate, or make up: fine
  detail is a guess, and not a measurement.
{limit}
- Trained on few scenes, and for as long as one core of a processor takes in an hour or two.

Licence: MIT. SHA-256 in `SHA256SUMS`.
"""

#: What the weights of each method are, what they see, and where that ends.
TEXTS = {
    'subspace': {
        'about': 'A network for eigen-images, which stands inside of '
        '`subspace_superresolution`, for any sensor\nand any number of bands. It makes '
        'pixels of half the size.',
        'input': 'Neighboring bands from a random one on; their noise and subspace are '
        'estimated from\n  each crop, as they are in use. Eigen-images have random signs.',
        'ensemble': ' With `ensemble=True`, the network sees eight\npositions.',
        'limit': '- Attention sums over all pixels of an image, so results depend on '
        'the extent of tiles.\n- What lies outside of the subspace of eight images is '
        'interpolated.',
    },
    'band_window': {
        'about': 'A network for windows of neighboring bands, which stands inside of\n'
        '`band_window_superresolution`, for any sensor and any number of bands. It '
        'makes pixels of\na quarter of the size.',
        'input': 'Windows of neighboring bands from a random one on, as they are '
        '(three of four steps) or\n  after spectral mixup (one of four).',
        'ensemble': '',
        'limit': '- No photograph was in the training. The tensors of the RGB branch '
        '(`trunk_RGB`,\n  `skip_conv_RGB`, `final_RGB`) are in the file as they were '
        'initialized: with\n  `modality="rgb"` the network interpolates.',
    },
}


def build_method(content: dict[str, Any], weights: Path) -> SuperResolver:
    """Build the method that a configuration trains, for any number of bands.

    Args:
        content: The configuration.
        weights: Checkpoint, or file of weights.

    Returns:
        :class:`SubspaceSuperResolver` or :class:`BandWindowSuperResolver`; what was
        trained is its ``network``.
    """
    words = content['model']['init_args']
    method = get_model(
        words['model'], **words['model_kwargs'], scale=words['scale'], weights=weights
    )
    assert isinstance(method, SuperResolver)
    if not isinstance(method, SubspaceSuperResolver):
        method = BandWindowSuperResolver(method)
    return method.eval()


def table(rows: list[dict[str, Any]]) -> str:
    """Make a table of scores, with a line for each cube and one for their mean."""
    methods = list(dict.fromkeys(row['method'] for row in rows))
    cubes = list(dict.fromkeys(row['cube'] for row in rows))
    lines = ['| | ' + ' | '.join(methods) + ' |', '|---' * (len(methods) + 1) + '|']
    for cube in [*cubes, 'mean']:
        cells = []
        for method in methods:
            part = [
                r for r in rows if r['method'] == method and cube in ('mean', r['cube'])
            ]
            psnr, ssim, angle = (
                float(np.mean([row[key] for row in part]))
                for key in ('MPSNR', 'MSSIM', 'SAM_deg')
            )
            cells.append(f'{psnr:.2f}, {ssim:.3f}, {angle:.2f}°')
        lines.append(f'| {cube} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def measure(method: SuperResolver, cubes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Score interpolation and a method on cubes that were held back."""
    scale = method.scale
    pairs = make_pairs(scale, cubes)
    rows = run('bicubic', get_model('bicubic', scale=scale), pairs, scale)
    rows += run('weights', method, pairs, scale)
    if isinstance(method, SubspaceSuperResolver):
        method.ensemble = True
        rows += run('weights, ensemble', method, pairs, scale)
        method.ensemble = False
    return rows


def main() -> None:
    """Ship weights."""
    parser = option_parser('superresolution_weights', __doc__)
    parser.add_argument('model', help='name of the network')
    parser.add_argument('name', help='name of the weights')
    parser.add_argument('--checkpoint', type=Path, required=True)
    parser.add_argument('--hours', type=float, default=0.0, help='time of the training')
    parser.add_argument(
        '--folder', type=Path, default=FOLDER, help='of the package by default'
    )
    args = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f'there are no real cubes in {DATA} (TORCHGEO_HSI_DATA)')
    torch.set_num_threads(args.threads)
    config, content = read_config('superresolution', args.model, args.name)
    method = build_method(content, args.checkpoint)
    network = method.network
    save(network, args.folder / f'{args.model}_{args.name}.safetensors')
    rows = measure(method, HELD_BACK[-2:] if args.quick else HELD_BACK)
    inside = isinstance(method, SubspaceSuperResolver)
    card = CARD.format(
        **training_facts(content, args.checkpoint, network),
        **TEXTS['subspace' if inside else 'band_window'],
        model=args.model,
        name=args.name,
        scale=method.scale,
        config=config.name,
        hours=args.hours,
        table=table(rows),
    )
    (args.folder / f'{args.model}_{args.name}.md').write_text(card, 'utf-8')
    result = {**header('superresolution_weights', args), 'rows': rows}
    finish(result, args.out)


if __name__ == '__main__':
    main()
