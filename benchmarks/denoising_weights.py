# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

r"""Put trained weights of a denoiser into the package, with a card and a check sum.

    torchgeo fit --config configs/denoising/man_s_eigen.yaml
    python benchmarks/denoising_weights.py man_s eigen \\
        --checkpoint output/man_s_eigen/checkpoints/last.ckpt

The card says what the weights were trained on and how good they are on cubes that were
held back, measured here. The last line is one JSON object.
"""

import hashlib
from pathlib import Path
from typing import Any

import torch
import yaml
from _denoising_cubes import DATA, HELD_BACK, NOISES
from common import finish, header, option_parser
from denoising_quality import run, with_weights
from safetensors.torch import save_file

from torchgeo_hsi.models import get_model

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / 'torchgeo_hsi' / 'models' / 'pretrained'

#: Largest file that goes into the package.
LIMIT = 3 * 2**20

CARD = """# {model}, weights "{name}"

A denoiser of eigen-images: the network that stands inside of `subspace` and
`robust_subspace`, for any sensor and any number of bands.

```python
from torchgeo_hsi.models import get_model

model = get_model('robust_subspace', denoiser='{model}', weights='{name}').eval()
```

## Training

`torchgeo fit --config configs/denoising/{config}`, seed {seed}.

- Data: seven AVIRIS scenes of the ABU benchmark (abu-airport-1 and 2, abu-beach-1 and 2,
  abu-urban-1 to 3), fourteen EnMAP tiles of Potsdam (of 32 x 32 pixels; the EnMAP-Box
  publishes them), and a simulated EnMAP scene of 128 x 128 pixels (seed 1).
- Held back: abu-urban-4, abu-airport-3, jasper_ridge, the EnMAP tiles 96_0 and 128_128.
  The tiles touch those of the training; the AVIRIS scenes are other places.
- Noise: Gaussian of a level from 2 to 75 (of 255), or of a level from 10 to 70 for each
  band. Noise and subspace are estimated from each crop, as they are in use.
- {steps} steps of {batch_size} crops of {patch_size} x {patch_size} pixels and {num_bands}
  bands, loss {loss}, AdamW, highest learning rate {lr:g}, {hours:.1f} h on one core
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


def save(network: torch.nn.Module, path: Path) -> None:
    """Write the weights and their check sum."""
    path.parent.mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    if path.stat().st_size > LIMIT:
        raise SystemExit(f'{path} is larger than {LIMIT} bytes')
    sums = path.parent / 'SHA256SUMS'
    lines = sums.read_text('utf-8').splitlines() if sums.exists() else []
    lines = [line for line in lines if line.split()[-1] != path.name]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lines = sorted([*lines, f'{digest}  {path.name}'], key=lambda line: line.split()[1])
    sums.write_text('\n'.join(lines) + '\n', 'utf-8')


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
    config = ROOT / 'configs' / 'denoising' / f'{args.model}_{args.name}.yaml'
    content = yaml.safe_load(config.read_text('utf-8'))
    state = torch.load(args.checkpoint, map_location='cpu', weights_only=True)
    network = get_model(args.model, noise_map=True, weights=args.checkpoint)
    save(network, FOLDER / f'{args.model}_{args.name}.safetensors')
    names = ['noisy', 'fasthyde', 'robust_subspace']
    names += with_weights(args.model, args.name)
    cubes = HELD_BACK[-2:] if args.quick else HELD_BACK
    scores = run(names, cubes, NOISES, args.seed)
    data, model = (content[part]['init_args'] for part in ('data', 'model'))
    card = CARD.format(
        **{key: data[key] for key in ('batch_size', 'patch_size', 'num_bands')},
        **{key: model[key] for key in ('loss', 'lr')},
        model=args.model,
        name=args.name,
        config=config.name,
        seed=content['seed_everything'],
        steps=f'{state["global_step"]:,}',
        hours=args.hours,
        torch=torch.__version__.split('+')[0],
        parameters=f'{sum(p.numel() for p in network.parameters()):,}',
        table=table(scores),
    )
    (FOLDER / f'{args.model}_{args.name}.md').write_text(card, 'utf-8')
    result = {**header('denoising_weights', args), 'scores': scores}
    finish(result, args.out)


if __name__ == '__main__':
    main()
