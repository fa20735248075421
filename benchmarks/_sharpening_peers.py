# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How the authors' code of pansharpening is called, and on what."""

import contextlib
import importlib
import importlib.util
import os
import sys
import time
from argparse import Namespace
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import torch
from scipy.io import loadmat, savemat
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1]))

from tests.data.pansharpening_scene.data import RATIO, golden_scene

TOOLBOX, RHO = 'hyperspectral_pansharpening_toolbox', 'rho-PNN'

#: Our name, the authors' module and function, and what else that needs.
METHODS = {
    'gsa': ('CS.GS', 'GSA', ('pywt',)),
    'bt_h': ('CS.Brovey', 'BT_H', ()),
    'pracs': ('CS.PRACS', 'PRACS', ()),
    'bdsd_pc': ('CS.BDSD', 'BDSD_PC', ('cvxpy', 'piqp')),
    'mtf_glp_fs': ('MRA.GLP', 'MTF_GLP_FS', ()),
    'mtf_glp_hpm': ('MRA.GLP', 'MTF_GLP_HPM', ()),
    'mtf_glp_hpm_r': ('MRA.GLP', 'MTF_GLP_HPM_R', ()),
    'awlp': ('MRA.AWLP', 'AWLP', ('pywt',)),
    'mf': ('MRA.MF', 'MF', ()),
    'tv': ('ModelBasedOptimization.TV', 'TV', ()),
    'sr_d': ('ModelBasedOptimization.SR_D', 'SR_D', ()),
    'hysure': ('ModelBasedOptimization.HySURE', 'HySURE', ()),
}

#: The only number of bands that the authors' total variation takes.
TV_BANDS = 159

#: Modules that the authors import; where one is not installed, an empty one will do.
_IMPORTED = (
    *('recordclass', 'cvxpy', 'pywt', 'skimage', 'skimage.transform'),
    *('skimage.transform.integral', 'other_scripts', 'other_scripts.cbam'),
    *('scipy.ndimage.filters', 'tqdm', 'yaml'),
)


class Inputs(NamedTuple):
    """A pair at reduced resolution, float64 digital numbers.

    Args:
        cube: Shape ``(1, C, h, w)``.
        pan: Shape ``(1, 1, H, W)``.
        up: The interpolated cube, which both forms are given.
        truth: Shape ``(1, C, H, W)``.
    """

    cube: Tensor
    pan: Tensor
    up: Tensor
    truth: Tensor

    @classmethod
    def of(cls, bands: int, size: int = 192) -> 'Inputs':
        """Take the upper left of the golden scene.

        Args:
            bands: Number of bands.
            size: Rows and columns of the PAN, 192 at most.

        Returns:
            The pair.
        """
        scene = golden_scene(bands)
        low, high = slice(size // RATIO), slice(size)
        return cls(
            scene.batch('lr')[..., low, low].contiguous(),
            scene.batch('pan')[..., high, high].contiguous(),
            scene.batch('ms')[..., high, high].contiguous(),
            scene.batch('gt')[..., high, high].contiguous(),
        )


class _Stub(ModuleType):
    """A module in which there is something under each name."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        if name == 'recordclass':
            return namedtuple
        return _anything


def _anything(*args: Any, **options: Any) -> Any:
    """Stand for a class, a function or a decorator that is never used."""
    return args[0] if args and callable(args[0]) else _anything


def is_installed(name: str) -> bool:
    """Tell whether a module is there, and no stub."""
    if name in sys.modules:
        return not isinstance(sys.modules[name], _Stub)
    try:
        return importlib.util.find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        return False


@contextlib.contextmanager
def checkout(folder: Path) -> Iterator[None]:
    """Let a checkout be imported from, with stubs for what is not installed."""
    for name in _IMPORTED:
        if not is_installed(name):
            sys.modules[name] = _Stub(name)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def is_comparable(name: str, peer: Path) -> bool:
    """Tell whether the authors' form of a method can run here."""
    with checkout(peer / TOOLBOX):
        return all(is_installed(module) for module in METHODS[name][2])


def official(name: str, peer: Path) -> tuple[Callable[[Inputs], Tensor], Any]:
    """Load the authors' form of a method.

    Args:
        name: Our name of it.
        peer: Folder of the checkouts.

    Returns:
        A function that sharpens, and the weights of the PAN where it brings some.
    """
    module, function, _ = METHODS[name]
    with checkout(peer / TOOLBOX):
        method = getattr(importlib.import_module(module), function)
    weights = None
    if name == 'tv':
        consts = (c for c in method.__code__.co_consts if isinstance(c, tuple))
        weights = next(c for c in consts if len(c) == TV_BANDS)

    def run(inputs: Inputs) -> Tensor:
        bands = inputs.cube.shape[1]
        record = SimpleNamespace(
            ratio=RATIO,
            ms_lr=inputs.cube,
            ms=inputs.up,
            pan=inputs.pan,
            wavelenghts=torch.linspace(400, 2500, bands),  # codespell:ignore
            overlap=torch.arange(min(bands, 26)),
            dataset='PRISMA',
            sensor='PRISMA',
            name='scene',
            root='.',
            img_number=0,
        )
        # HySURE draws from it
        torch.manual_seed(0)
        with open(os.devnull, 'w') as sink, contextlib.redirect_stderr(sink):
            fused: Tensor = method(record)
        return fused

    return run, weights


def official_q2n(peer: Path) -> Callable[[Tensor, Tensor], float]:
    """Load the authors' index, a function of result and truth."""
    with checkout(peer / TOOLBOX):
        metric = importlib.import_module('Metrics.metrics_rr').Q2n()
    return lambda image, truth: float(metric(image.clone(), truth.clone())[0])


def run_official_rho(
    peer: Path, inputs: Inputs, schedule: str, folder: Path, seed: int
) -> tuple[Tensor, dict[str, float]]:
    """Run the authors' rho-PNN in this process, on the CPU; it takes minutes.

    Args:
        peer: Folder of the checkouts.
        inputs: The pair.
        schedule: ``'reduced'``, or ``'full'`` for their numbers for full resolution. All
            else is as they have it for reduced resolution, which needs no network of
            another data set.
        folder: Where to write the files that it reads and writes.
        seed: Seed of its weights.

    Returns:
        The sharpened cube, and seconds: of all, of the pre-training, of the part of that
        which changes nothing, and of each band's tuning.
    """
    # the last letters of the name say what resolution it is
    path = folder / 'sceneRR.mat'
    images = {'I_MS_LR': inputs.cube, 'I_MS': inputs.up, 'I_GT': inputs.truth}
    arrays = {key: x[0].permute(1, 2, 0).numpy() for key, x in images.items()}
    bands = inputs.cube.shape[1]
    waves = torch.linspace(400, 700, bands)[None].numpy()
    savemat(path, arrays | {'I_PAN': inputs.pan[0, 0].numpy(), 'wavelengths': waves})
    os.chdir(folder)
    torch.manual_seed(seed)
    with checkout(peer / RHO):
        # only for full resolution
        unused = 'tools.salient_patches_extraction'
        sys.modules[unused] = _Stub(unused)
        main = importlib.import_module('main')
        parts = importlib.import_module('utils')
        if schedule == 'full':
            main.config['hp_rr'] = main.config['hp_fr']
        seconds: dict[str, float] = {}
        _clock(parts, 'model_ensemble', seconds)
        _clock(main, 'train', seconds)
        args = Namespace(
            input=str(path), out_dir='out', gpu_number=0, use_cpu=True, learning_rate=-1
        )
        start = time.perf_counter()
        with (
            open(os.devnull, 'w') as sink,
            contextlib.redirect_stderr(sink),
            contextlib.redirect_stdout(sink),
        ):
            main.test_rho_pnn(args)
        total = time.perf_counter() - start
    fused = loadmat(folder / 'out' / 'sceneRR.mat')['I_HS'].astype('float64')
    return torch.from_numpy(fused)[None], {
        'all': total,
        'pretraining': seconds['train'],
        'without_effect': seconds['model_ensemble'],
        'per_band': (total - seconds['train']) / bands,
    }


def _clock(module: Any, name: str, seconds: dict[str, float]) -> None:
    """Note how long a function of a module takes."""
    call = getattr(module, name)

    def timed(*args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        found = call(*args, **options)
        seconds[name] = time.perf_counter() - start
        return found

    setattr(module, name, timed)
