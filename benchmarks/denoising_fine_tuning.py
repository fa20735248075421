# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fine-tuning on a noisy scene without a clean image, against not doing so.

HSDT-S learns from simulated EnMAP scenes with Gaussian noise of one level. Then it meets
another scene, whose noise is of another kind, and goes on learning from the noisy pixels
of that scene alone, with each kind of supervision; and, to see what could be reached,
from its clean pixels. Scores are those of the whole scene. The last line is one JSON
object.

    python benchmarks/denoising_fine_tuning.py --quick
    python benchmarks/denoising_fine_tuning.py --out --steps 300
"""

import copy
import logging
import time
import warnings
from typing import Any

import numpy as np
import torch
from common import finish, header, option_parser
from lightning.pytorch import Trainer, seed_everything
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from torchgeo_hsi.metrics import mean_spectral_angle, mpsnr
from torchgeo_hsi.physics.simulation import EnMAPScene, SceneConfig
from torchgeo_hsi.tasks import HSIDenoising
from torchgeo_hsi.transforms import get_noise

BANDS, PATCH, BATCH = 24, 32, 4


class Patches(Dataset[dict[str, Tensor]]):
    """Random patches of a scene.

    Args:
        clean: Scene of shape (C, H, W).
        count: Number of patches.
        seed: Seed of their places.
        noise: Name of noise that each patch draws; None for that of *noisy*.
        noisy: The scene with noise.
    """

    def __init__(
        self,
        clean: Tensor,
        count: int,
        seed: int,
        noise: str | None = None,
        noisy: Tensor | None = None,
    ) -> None:
        """Initialize a new Patches instance."""
        rng = np.random.default_rng(seed)
        limit = np.array(clean.shape[1:]) - PATCH
        self.places = rng.integers(0, limit, (count, 2)).tolist()
        self.clean, self.noisy = clean, noisy
        self.noise = None if noise is None else get_noise(noise)

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return a pair."""
        row, col = self.places[index]
        window = (..., slice(row, row + PATCH), slice(col, col + PATCH))
        sample = {'image': self.clean[window]}
        if self.noise is not None:
            sample = self.noise(sample)
        if self.noisy is not None:
            sample = {'image': self.noisy[window], 'target': self.clean[window]}
        # the level is not told: on real scenes nobody knows it
        return {key: sample[key] for key in ('image', 'target')}


def scene(seed: int, side: int) -> Tensor:
    """Render a perfect scene and scale it to [0, 1]."""
    config = SceneConfig(side, side, seed, cloud_cover=0, footprint=False, noise=0)
    clean = EnMAPScene(config).render(0, 0, side, side).clean
    good = np.flatnonzero((clean != -32768).all(axis=(1, 2)))
    bands = good[np.linspace(0, len(good) - 1, BANDS).round().astype(int)]
    cube = torch.from_numpy(clean[bands].astype(np.float32))
    return (cube - cube.min()) / (cube.max() - cube.min())


def train(task: HSIDenoising, patches: Patches) -> None:
    """Train on each patch once."""
    trainer = Trainer(
        max_epochs=1,
        accelerator='cpu',
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    trainer.fit(task, DataLoader(patches, BATCH, drop_last=True))


@torch.no_grad()
def score(task: HSIDenoising, noisy: Tensor, clean: Tensor) -> dict[str, float]:
    """Denoise the whole scene."""
    task.eval()
    result = task(noisy[None])[0]
    return scores(result, clean)


def scores(image: Tensor, clean: Tensor) -> dict[str, float]:
    """Compare with the truth."""
    angle = mean_spectral_angle(image, clean, unit='degrees')
    return {
        'mpsnr': round(mpsnr(image, clean).item(), 3),
        'sam_deg': round(angle.item(), 3),
    }


def fine_tune(
    start: HSIDenoising, noisy: Tensor, clean: Tensor, steps: int, seed: int
) -> dict[str, Any]:
    """Learn from one scene in each way."""
    result: dict[str, Any] = {
        'noisy': scores(noisy, clean),
        'before': score(start, noisy, clean),
    }
    for supervision in ('recorrupted', 'neighbors', 'clean'):
        seed_everything(seed, verbose=False)
        task = HSIDenoising(
            'hsdt_s', {'num_bands': BANDS}, lr=3e-4, supervision=supervision
        )
        task.model.load_state_dict(copy.deepcopy(start.model.state_dict()))
        began = time.perf_counter()
        train(task, Patches(clean, steps * BATCH, seed + 2, noisy=noisy))
        name = 'with_truth' if supervision == 'clean' else supervision
        result[name] = score(task, noisy, clean)
        result[name]['seconds'] = round(time.perf_counter() - began, 1)
    return result


def main() -> None:
    """Run the benchmark."""
    parser = option_parser('denoising_fine_tuning', __doc__)
    parser.add_argument('--steps', type=int, default=None, help='of fine-tuning')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.filterwarnings('ignore')
    logging.getLogger('lightning.pytorch').setLevel(logging.ERROR)
    first, steps = (200, args.steps or 100)
    if args.quick:
        first, steps = 8, args.steps or 4
    seed_everything(args.seed, verbose=False)
    start = HSIDenoising('hsdt_s', {'num_bands': BANDS}, lr=2e-3)
    train(start, Patches(scene(10, 160), first * BATCH, args.seed, 'gaussian_50'))
    clean = scene(20, 96)
    result = header('denoising_fine_tuning', args) | {
        'first_steps': first,
        'steps': steps,
    }
    for name in ('non_iid', 'stripe'):
        noise = get_noise(name)
        noise.reseed(args.seed)
        noisy = noise({'image': clean})['image']
        result[name] = fine_tune(start, noisy, clean, steps, args.seed)
        print(f'{name}: {result[name]}')
    finish(result, args.out)


if __name__ == '__main__':
    main()
