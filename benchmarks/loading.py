# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Loading: crops from scenes and patches from a store, against what others do.

Against torchgeo's EnMAP with its random sampler, a loop of rasterio windows, and memory
maps, all in the same run. The last line is one JSON object.

* ``scene_crops_vs_torchgeo``: crops per second, ours by torchgeo's, when an epoch shows
  each pixel once or twice; the worse of 1 and 2 workers
* ``store_vs_raw_limit``, ``store_size_share``, ``store_vs_rasterio``: the training store
  against bare numbers, its size, and against rasterio on GeoTIFFs
* ``training``: share of the time that a small backbone waits for data
* ``memory``: of all processes over 10,000 crops

    python benchmarks/loading.py --quick
    python benchmarks/loading.py --out
"""

import multiprocessing
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _loading_scenes
import _loading_store
import _loading_training
import torch
from common import finish, header, option_parser


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a process of its own, which leaves no memory behind."""
    with multiprocessing.get_context('fork').Pool(1) as pool:
        return pool.apply(_undaemonized, (function, args))


def _undaemonized(function: Callable[..., Any], args: Any) -> Any:
    # workers of a data loader are children, which a daemon may not have
    multiprocessing.current_process()._config['daemon'] = False
    return function(*args)


def main() -> None:
    """Run the benchmark."""
    parser = option_parser('loading', __doc__)
    parser.add_argument('--only', choices=('scenes', 'store'), help='one half')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter('ignore')
    result = header('loading', args)
    quick, seed = args.quick, args.seed
    if args.only != 'store':
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            result |= _loading_scenes.measure(root, quick, seed)
            archive = root / 'tiles_of_512_deflate'
            steps, items = (4, 400) if quick else (40, 10_000)
            result['training'] = {
                f'{workers} workers': apart(
                    _loading_training.waiting, archive, workers, steps, seed
                )
                for workers in ((1,) if quick else (1, 2))
            }
            result['memory'] = apart(_loading_training.memory, archive, items, seed)
    if args.only != 'scenes':
        with tempfile.TemporaryDirectory() as folder:
            result |= _loading_store.measure(Path(folder), quick, seed)
    finish(result, args.out)


if __name__ == '__main__':
    main()
