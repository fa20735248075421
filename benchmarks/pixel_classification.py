# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pixel classification with few labels: all methods, random pixels against blocks.

Two real scenes: the EnMAP tiles of Potsdam at their places (six classes), and Jasper
Ridge (four; the label of a pixel is its largest abundance above 0.6). They are cut into
blocks, half of them for the test, with the guard of a window of 15 pixels. Half of the
pixels of the test blocks are tested. Of each class, 5, 10 or 25 pixels are labelled: those
of the block split lie in the training blocks, those of the random split anywhere, other
pixels of the test blocks included. So both splits test the same pixels, and differ in
where the labels lie only. All methods get the same pixels. Repeated with other splits.

It takes long, so each finished cell is kept beside the results (``--partial``), and a
second call goes on. ``--scene-time`` measures something else: a simulated scene of 512 x
217 pixels and 204 bands, classified from file to file.

    python benchmarks/pixel_classification.py --quick
    python benchmarks/pixel_classification.py --out
    python benchmarks/pixel_classification.py --scene-time --out scene.json
"""

import argparse
import hashlib
import json
import os
import resource
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import HERE, finish, header, option_parser
from numpy.typing import NDArray
from scipy import ndimage
from scipy.io import loadmat

from torchgeo_hsi.datasets import block_pixel_split
from torchgeo_hsi.datasets.labelled_scenes import LabelledScene, open_labelled_scene
from torchgeo_hsi.datasets.splits import PixelSplit
from torchgeo_hsi.datasets.splits.few_labels import few_labels
from torchgeo_hsi.io import write_cog
from torchgeo_hsi.workflows import METHODS, classify_scene, find_recipe
from torchgeo_hsi.workflows._cross_validation import validate
from torchgeo_hsi.workflows._fit import Fitter

#: Real scenes; see "Real data" in CONTRIBUTING.md.
DATA = Path(os.environ.get('TORCHGEO_HSI_DATA', HERE.parents[1] / 'shared' / 'data'))

SHOTS = (5, 10, 25)
SPLITS = ('random', 'block')
#: Window that blocks and guard are for: the largest one of all methods, and more.
WINDOW = 15
SHARES = {'train': 0.5, 'test': 0.5}
#: Abundance that makes a label.
PURE = 0.6

#: Rows, columns, bands and classes of the simulated scene: those of Salinas.
SIMULATED = (512, 217, 204, 16)


def potsdam() -> LabelledScene:
    """Read all tiles on one grid."""
    folder = DATA / 'enmap_potsdam'
    return open_labelled_scene(folder / 'images', folder / 'labels', name='potsdam')


def jasper() -> LabelledScene:
    """Read Jasper Ridge, whose labels are large abundances."""
    content = loadmat(DATA / 'aviris' / 'jasper_ridge.mat')
    # MATLAB counts pixels down the columns
    cube, shares = (
        content[key].reshape(-1, 100, 100).swapaxes(1, 2) for key in ('Y', 'A')
    )
    labels = np.where(shares.max(0) > PURE, shares.argmax(0), -1)
    return LabelledScene(
        np.ascontiguousarray(cube, dtype=np.float32),
        np.ones(labels.shape, dtype=bool),
        labels.astype(np.int64),
        ('tree', 'water', 'soil', 'road'),
        ('#009e73', '#0072b2', '#e69f00', '#999999'),
        name='jasper',
    )


SCENES = {'potsdam': potsdam, 'jasper': jasper}


def make_split(scene: LabelledScene, kind: str, shots: int, seed: int) -> PixelSplit:
    """Draw the few labels, and the pixels that are tested.

    The test is the same for both kinds: a random half of the pixels in the test blocks.
    """
    source = torch.Generator().manual_seed(seed)
    split = block_pixel_split(
        scene.labels, WINDOW, SHARES, ignore_index=-1, generator=source
    )
    random = torch.Generator().manual_seed(seed)
    drawn = torch.rand(split.codes.shape, generator=random).numpy() < 0.5
    test = split.mask('test') & drawn
    if kind == 'random':
        # labels may lie beside the test, as they do with random pixels
        train, words = split.labelled & ~test, {'method': 'random', 'guard': 0}
    else:
        train, words = split.mask('train'), {}
    codes = np.where(test, 1, np.where(train, 0, -1)).astype(np.int8)
    split = replace(split, codes=codes, **words)
    return few_labels(split, shots, torch.Generator().manual_seed(seed), 'drop')


def run_cell(
    scene: LabelledScene, fitter: Fitter, kind: str, shots: int, seed: int
) -> dict[str, Any]:
    """Fit and test a method once."""
    split = make_split(scene, kind, shots, seed)
    start = time.perf_counter()
    report = validate(fitter, [split], 1, None, None)
    return {
        'scene': scene.name,
        'method': fitter.method,
        'split': kind,
        'shots': shots,
        'seed': seed,
        **{name: round(float(v[0]), 5) for name, v in report.scores().items()},
        'touching': round(report.touching[0], 5),
        'train': int(split.mask('train').sum()),
        'test': int(report.counts.sum()),
        'left_out': list(report.untested),
        'seconds': round(time.perf_counter() - start, 2),
    }


class Cells:
    """What is finished, kept in a file after each cell.

    Args:
        path: The file, or None to keep nothing.
        recipes: What the results depend on.
    """

    def __init__(self, path: Path | None, recipes: dict[str, Any]) -> None:
        """Initialize a new Cells instance; see the class for the arguments."""
        self.path = path
        text = json.dumps(recipes, sort_keys=True, default=dict)
        self.state = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.rows: dict[str, dict[str, Any]] = {}
        if path is not None and path.is_file():
            content = json.loads(path.read_text())
            if content['recipes'] == self.state:
                self.rows = content['rows']
            else:
                print(f'{path} was made with other recipes; starting anew')

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Keep a cell."""
        self.rows[key] = row
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_suffix('.part')
            part.write_text(json.dumps({'recipes': self.state, 'rows': self.rows}))
            part.replace(self.path)


def run_all(args: argparse.Namespace, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Run all cells that are not finished."""
    recipes = {name: vars(find_recipe(name, None, options)) for name in METHODS}
    cells = Cells(args.partial, {'recipes': recipes, 'window': WINDOW, 'pure': PURE})
    wanted = []
    for scene_name in args.scenes:
        scene = SCENES[scene_name]()
        for method in args.methods:
            for seed in range(args.seed, args.seed + args.seeds):
                recipe = find_recipe(method, None, options)
                # features that are learned without labels are learned once
                fitter = Fitter(scene, method, recipe, seed, 'cpu')
                for shots in args.shots:
                    for kind in SPLITS:
                        key = f'{scene_name}/{method}/{kind}/{shots}/{seed}'
                        wanted.append(key)
                        if key not in cells.rows and not args.finished:
                            row = run_cell(scene, fitter, kind, shots, seed)
                            cells.add(key, row)
                            show(row)
    return [cells.rows[key] for key in wanted if key in cells.rows]


def show(row: dict[str, Any]) -> None:
    """Print a cell."""
    print(
        f'{row["scene"]:8s} {row["method"]:18s} {row["split"]:7s} {row["shots"]:3d} '
        f'labels, seed {row["seed"]}: OA {row["OA"]:.3f}  AA {row["AA"]:.3f}  kappa '
        f'{row["kappa"]:.3f}  {row["touching"]:4.0%} touch  {row["seconds"]:6.1f} s',
        flush=True,
    )


def summarize(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average over seeds."""
    table = []
    keys = ('scene', 'method', 'split', 'shots')
    counted = ('OA', 'AA', 'kappa', 'touching', 'seconds')
    for group in dict.fromkeys(tuple(row[k] for k in keys) for row in rows):
        mine = [row for row in rows if tuple(row[k] for k in keys) == group]
        entry: dict[str, Any] = dict(zip(keys, group, strict=True))
        entry['seeds'] = len(mine)
        for name in counted:
            values = [row[name] for row in mine]
            entry[name] = round(float(np.mean(values)), 4)
            entry[f'{name}_sd'] = round(float(np.std(values)), 4)
        table.append(entry)
    return table


def print_table(table: list[dict[str, Any]]) -> None:
    """Print the table as Markdown, random pixels beside blocks."""
    print('\n| scene | labels | method | OA random | OA block | AA random | AA block |')
    print('|---|---|---|---|---|---|---|')
    places = {(e['scene'], e['shots'], e['method'], e['split']): e for e in table}
    for scene, shots, method, split in places:
        if split != 'random':
            continue
        pair = [places.get((scene, shots, method, kind)) for kind in SPLITS]
        cells = [
            '-' if e is None else f'{e[name]:.3f} ± {e[f"{name}_sd"]:.3f}'
            for name in ('OA', 'AA')
            for e in pair
        ]
        print(f'| {scene} | {shots} | `{method}` | {" | ".join(cells)} |')


def simulate(seed: int, shape: tuple[int, int, int, int]) -> tuple[Any, NDArray[Any]]:
    """Make a cube of fields with spectra of their own, and a map of half of them."""
    rows, columns, bands, classes = shape
    random = np.random.default_rng(seed)
    fields = 6 * classes
    places = random.random((fields, 2)) * (rows, columns)
    grid = np.full((rows, columns), -1)
    r, c = places.astype(int).T
    grid[r, c] = np.arange(fields)
    near = ndimage.distance_transform_edt(
        grid < 0, return_distances=False, return_indices=True
    )
    field = grid[tuple(near)]
    # smooth spectra that are alike, and vary from field to field
    curves = ndimage.gaussian_filter1d(random.standard_normal((classes, bands)), 12)
    own = ndimage.gaussian_filter1d(random.standard_normal((fields, bands)), 20)
    each = 2500 + 1500 * curves[np.arange(fields) % classes] + 500 * own
    each = each * (1 + 0.08 * random.standard_normal((fields, 1)))
    cube = np.moveaxis(each[field], -1, 0).astype(np.float32)
    cube *= 1 + 0.05 * random.standard_normal((1, rows, columns), dtype=np.float32)
    cube += 400 * random.standard_normal(cube.shape, dtype=np.float32)
    border = ndimage.grey_dilation(field, 5) != ndimage.grey_erosion(field, 5)
    labels = np.where(border | (field % 5 == 0), 0, field % classes + 1)
    return cube.round().clip(0, 20000).astype('int16'), labels.astype('uint8')


def scene_time(args: argparse.Namespace) -> dict[str, Any]:
    """Classify a simulated scene from file to file."""
    shape = (96, 80, 50, 6) if args.quick else SIMULATED
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cube, labels = simulate(args.seed, shape)
        place = {'crs': 'EPSG:32633', 'transform': _place()}
        write_cog(folder / 'scene.tif', cube, **place)
        write_cog(folder / 'labels.tif', labels, nodata=0, **place)
        start, marks = time.perf_counter(), {}

        def tell(what: str, share: float) -> None:
            marks[what] = round(time.perf_counter() - start, 2)

        report = classify_scene(
            folder / 'scene.tif',
            folder / 'labels.tif',
            folder / 'map.tif',
            args.methods[0],
            device='cpu',
            progress=tell,
        )
        seconds = time.perf_counter() - start
    print(report)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f'{shape}: {seconds:.1f} s, {peak:.0f} MiB at most')
    return {
        'shape': shape,
        'method': args.methods[0],
        'labelled': int((labels > 0).sum()),
        'seconds': round(seconds, 2),
        'until': marks,
        'peak_MiB': round(peak),
        'OA': round(float(report.overall_accuracy.mean()), 4),
    }


def _place() -> Any:
    from affine import Affine

    return Affine(3.7, 0, 600_000, 0, -3.7, 4_000_000)


def main() -> None:
    """Compare all methods, or measure the time of a scene."""
    parser = option_parser('pixel_classification', __doc__)
    parser.add_argument(
        '--scene-time', action='store_true', help='of a simulated scene'
    )
    parser.add_argument('--methods', nargs='+', choices=list(METHODS))
    parser.add_argument(
        '--scenes', nargs='+', choices=list(SCENES), default=list(SCENES)
    )
    parser.add_argument('--shots', nargs='+', type=int, default=list(SHOTS))
    parser.add_argument('--seeds', type=int, default=5, help='splits and draws')
    parser.add_argument(
        '--partial',
        type=Path,
        default=HERE / 'results' / 'pixel_classification.partial.json',
        help='file of finished cells',
    )
    parser.add_argument(
        '--finished', action='store_true', help='run nothing, tabulate what is finished'
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.filterwarnings('ignore', module='lightning|jsonargparse|torch_geometric')
    result = header('pixel_classification', args)
    if args.scene_time:
        args.methods = args.methods or ['svm']
        finish(result | scene_time(args), args.out)
        return
    if not DATA.is_dir():
        parser.error(f'there are no real scenes in {DATA} (TORCHGEO_HSI_DATA)')
    args.methods = args.methods or list(METHODS)
    options: dict[str, Any] = {}
    if args.quick:
        # a trial of two methods that need no training
        args.methods, args.shots, args.seeds = ['svm', 'random_forest'], [10], 1
        args.partial = None
    start = time.perf_counter()
    rows = run_all(args, options)
    table = summarize(rows)
    print_table(table)
    result |= {'window': WINDOW, 'shares': SHARES, 'table': table, 'rows': rows}
    finish(result | {'seconds': round(time.perf_counter() - start, 1)}, args.out)


if __name__ == '__main__':
    main()
