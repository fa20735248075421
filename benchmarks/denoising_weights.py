# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

r"""Put trained weights of a denoiser into the package, with a card and a check sum.

    torchgeo fit --config configs/denoising/man_s_eigen.yaml
    python benchmarks/denoising_weights.py man_s eigen \\
        --checkpoint output/denoising/man_s_eigen/checkpoints/last.ckpt

The card says what the weights were trained on and how good they are on cubes that were
held back, measured here. The last line is one JSON object.
"""

from pathlib import Path
from typing import Any

import torch
from _real_cubes import DATA, HELD_BACK, NOISES
from _weight_files import FOLDER, read_config, save, training_facts
from common import finish, header, option_parser
from denoising_quality import run, with_weights

from torchgeo_hsi.models import get_model

CARD = """# {model}, weights "{name}"

A denoiser of eigen-images: the network that stands inside of `subspace` and
`robust_subspace`, for any sensor and any number of bands.

```python
from torchgeo_hsi.models import get_model

model = get_model('robust_subspace', denoiser='{model}', weights='{name}').eval()
```

## Training

`torchgeo fit --config configs/denoising/{config}`, seed {seed}.

{cubes}
- Noise: Gaussian of a level from 2 to 75 (of 255), or of a level from 10 to 70 for each
  band. Noise and subspace are estimated from each crop, as they are in use.
- {steps} steps of {batch_size} crops of {patch_size} x {patch_size} pixels and {num_bands}
  bands, loss {loss}, AdamW, highest learning rate {lr}, {hours:.1f} h on one core
  (torch {torch}).
- {parameters} parameters, float32.

## Scores

Mean over the five cubes that were held back: MPSNR in dB, MSSIM, and spectral angle in
degrees (`python benchmarks/denoising_quality.py`, seed 0). With `collaborative+` the result
is the mean with that of the collaborative filter; networks see eight positions.

{table}

## Limits

- Gaussian noise, independent from pixel to pixel. Noise that is correlated in space, as
  in products that were resampled to a map, is not what it has learned.
- Pixels of 4 to 30 m. What a network has not seen it may smooth.
- Trained on few scenes, and for as long as one core of a processor takes in an hour or two.

Licence: MIT. SHA-256 in `SHA256SUMS`.
"""


def table(scores: dict[str, Any]) -> str:
    """Make a table of scores."""
    noises = list(next(iter(scores.values())))
    lines = [
        '| | ' + ' | '.join(noise.replace('_', ' ') for noise in noises) + ' |',
        '|---' * (len(noises) + 1) + '|',
    ]
    for method, row in scores.items():
        cells = (
            f'{s["mpsnr"]:.2f}, {s["mssim"]:.3f}, {s["sam"]:.1f}°' for s in row.values()
        )
        lines.append(f'| `{method}` | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def main() -> None:
    """Ship weights."""
    parser = option_parser('denoising_weights', __doc__)
    parser.add_argument('model', help='name of the network')
    parser.add_argument('name', help='name of the weights')
    parser.add_argument('--checkpoint', type=Path, required=True)
    parser.add_argument('--hours', type=float, default=0.0, help='time of the training')
    args = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f'there are no real cubes in {DATA} (TORCHGEO_HSI_DATA)')
    torch.set_num_threads(args.threads)
    config, content = read_config('denoising', args.model, args.name)
    network = get_model(args.model, noise_map=True, weights=args.checkpoint)
    save(network, FOLDER / f'{args.model}_{args.name}.safetensors')
    names = ['noisy', 'fasthyde', 'robust_subspace']
    names += with_weights(args.model, args.name)
    cubes = HELD_BACK[-2:] if args.quick else HELD_BACK
    scores = run(names, cubes, NOISES, args.seed)
    card = CARD.format(
        **training_facts(content, args.checkpoint, network),
        model=args.model,
        name=args.name,
        config=config.name,
        hours=args.hours,
        table=table(scores),
    )
    (FOLDER / f'{args.model}_{args.name}.md').write_text(card, 'utf-8')
    result = {**header('denoising_weights', args), 'scores': scores}
    finish(result, args.out)


if __name__ == '__main__':
    main()
