# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Check that the package works with each extra alone, with none, and with all.

    python .ci/extras.py [NAME ...]      "none" and every extra that is there by default

For each NAME a process of its own hides the packages of all other extras. What the
extra is for has to work there, and what the others are for has to fail with an
``ImportError`` that says ``pip install 'torchgeo-hsi[OTHER]'``. Packages that are not
installed count as hidden, so the environment of a bare wheel can check "none".
"""

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: Modules that an extra brings and the bare package does not have.
MODULES = {
    'baselines': ('sklearn',),
    'fast': ('imagecodecs',),
    'graph': ('skimage', 'torch_geometric'),
    'lora': ('peft',),
    'operator': ('neuralop',),
    'parallel': ('dask', 'distributed'),
    'parquet': ('pyarrow',),
    'store': ('numcodecs',),
    # what no smaller extra has
    'all': ('h5py', 'tensorboard'),
}
#: Extras that only make faster what works without them.
OPTIONAL = frozenset({'fast'})


class Without:
    """A finder that does not find some modules, as if they were not installed."""

    def __init__(self, finder: Any, modules: Collection[str]) -> None:
        """Initialize a new Without instance.

        Args:
            finder: An entry of ``sys.meta_path``.
            modules: Names of the top-level modules.
        """
        self._finder = finder
        self._modules = frozenset(modules)

    def find_spec(self, fullname: str, *args: Any) -> ModuleSpec | None:
        """Find a module, unless it is hidden."""
        if fullname.partition('.')[0] in self._modules:
            return None
        spec: ModuleSpec | None = self._finder.find_spec(fullname, *args)
        return spec

    def __getattr__(self, name: str) -> Any:
        """Have the rest of the finder, e.g. for the metadata of packages."""
        return getattr(self._finder, name)


def smoke_baselines(folder: Path) -> None:
    """Fit a random forest to spectra, and classify them."""
    import torch

    from torchgeo_hsi.models import get_model

    spectra = torch.linspace(0, 1, 40)[:, None] * torch.ones(5)
    forest = get_model('random_forest', in_channels=5, num_classes=2, trees=3)
    forest.fit_windows(spectra[..., None, None], (spectra[:, 0] > 0.5).long())


def smoke_fast(folder: Path) -> None:
    """Read a compressed GeoTIFF."""
    import numpy as np
    import rasterio

    from torchgeo_hsi.io import read_tiff

    values = np.arange(4 * 64 * 64, dtype=np.int16).reshape(4, 64, 64)
    profile = {'driver': 'GTiff', 'count': 4, 'height': 64, 'width': 64}
    path = folder / 'fast.tif'
    with rasterio.open(path, 'w', dtype='int16', compress='deflate', **profile) as file:
        file.write(values)
    assert (np.asarray(read_tiff(path)) == values).all()


def smoke_graph(folder: Path) -> None:
    """Make a graph of superpixels, and encode it."""
    import torch

    from torchgeo_hsi.graphs import superpixel_graph
    from torchgeo_hsi.models.graphs import GraphEncoder

    rows, columns = torch.meshgrid(
        torch.arange(30.0), torch.arange(40.0), indexing='ij'
    )
    image = torch.stack([rows, columns, rows * columns / 40])
    # each of the two packages has to be asked for by name
    encoder = GraphEncoder(3)
    graph = superpixel_graph(image, segments=20, components=3)
    assert encoder.out_channels == 128
    assert graph.num_nodes > 1


def smoke_lora(folder: Path) -> None:
    """Add low-rank matrices to a network."""
    from torch import nn

    from torchgeo_hsi.models import add_lora

    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    add_lora(network, rank=2)


def smoke_operator(folder: Path) -> None:
    """Build a Fourier neural operator."""
    from torchgeo_hsi.models import FourierNeuralOperator

    FourierNeuralOperator(('fourier',), (5,), width=4, depth=1)


def smoke_parallel(folder: Path) -> None:
    """Run jobs on a local cluster."""
    from torchgeo_hsi.jobs import run_jobs

    report = run_jobs(abs, [-1, 2], workers=2)
    assert sorted(report.results) == [1, 2]


def smoke_parquet(folder: Path) -> None:
    """Ask for a table of embeddings."""
    from lightning.pytorch import LightningModule, Trainer

    from torchgeo_hsi.callbacks import EmbeddingWriter

    writer = EmbeddingWriter(folder / 'table.parquet')
    trainer = Trainer(accelerator='cpu', logger=False, enable_checkpointing=False)
    writer.setup(trainer, LightningModule(), 'predict')


def smoke_store(folder: Path) -> None:
    """Write a training store."""
    import numpy as np

    from torchgeo_hsi.io.store import FieldSpec, StoreSpec, create_store, write_shard

    path = folder / 'store.zarr'
    create_store(path, StoreSpec({'image': FieldSpec((4, 8, 8), 'int16')}, 1, 1))
    write_shard(path, 0, {'image': np.zeros((1, 4, 8, 8), np.int16)}, [{}])


def smoke_all(folder: Path) -> None:
    """Read a file of MATLAB 7.3, which is HDF5."""
    from torchgeo_hsi.io import open_cube

    path = folder / 'cube.mat'
    with suppress(ModuleNotFoundError):
        import h5py
        import numpy as np

        with h5py.File(path, 'w', userblock_size=512) as file:
            file['cube'] = np.ones((5, 8, 9))
    text = b'MATLAB 7.3 MAT-file'.ljust(124) + b'\0\2IM'
    content = path.read_bytes()[128:] if path.exists() else b'\0' * 1024
    path.write_bytes(text + content)
    open_cube(path).read()


def smoke_none(folder: Path) -> None:
    """Import all rooms, load the plugins, read what needs nothing."""
    from torchgeo_hsi import callbacks, datamodules, tasks, workflows
    from torchgeo_hsi.models import list_models
    from torchgeo_hsi.plugins import get_plugin_manager

    assert all((callbacks, datamodules, tasks, workflows))
    get_plugin_manager().load_all()
    assert len(list_models('*')) > 50


SMOKES: dict[str, Callable[[Path], None]] = {
    name.removeprefix('smoke_'): value
    for name, value in list(globals().items())
    if name.startswith('smoke_')
}


def is_installed(extra: str) -> bool:
    """Whether all modules of an extra can be imported."""
    return all(find_spec(module) is not None for module in MODULES.get(extra, ()))


def check(name: str) -> list[str]:
    """Check one extra in this process, which is of no more use afterwards.

    Args:
        name: The extra, ``'none'`` or ``'all'``.

    Returns:
        What went wrong.
    """
    hidden = [] if name == 'all' else [e for e in MODULES if e != name]
    modules = [module for extra in hidden for module in MODULES[extra]]
    sys.meta_path[:] = [Without(finder, modules) for finder in sys.meta_path]
    problems = []
    for extra, smoke in SMOKES.items():
        should_work = extra == 'none' or extra not in hidden or extra in OPTIONAL
        if name == 'all' and extra == 'operator':
            # not part of it, but may be there
            should_work = is_installed(extra)
        if name == extra and not is_installed(extra):
            problems.append(f'{extra} is not installed')
            continue
        with tempfile.TemporaryDirectory() as folder:
            problem = _try(smoke, Path(folder), extra, should_work)
        problems += [f'with {name}: {extra}: {problem}'] if problem else []
    return problems


def _try(
    smoke: Callable[[Path], None], folder: Path, extra: str, should_work: bool
) -> str | None:
    """Run a smoke test; say what is wrong with how it ends."""
    try:
        smoke(folder)
    except ImportError as error:
        if should_work:
            return traceback.format_exc()
        if f"pip install 'torchgeo-hsi[{extra}]'" not in str(error):
            return f'does not say how to install it: {error}'
    # whatever it is, it is a report
    except Exception:  # noqa: BLE001
        return traceback.format_exc()
    else:
        if not should_work:
            return 'works without its packages; is the extra needed?'
    return None


def main(names: Sequence[str]) -> int:
    """Check extras, each in a process of its own that starts from the same imports.

    Args:
        names: Extras, ``'none'`` and ``'all'``; those that are installed by default.

    Returns:
        Exit code.
    """
    # what every process needs, imported once: none of it imports an extra
    import torchgeo_hsi.io
    import torchgeo_hsi.models  # noqa: F401

    loaded = {m for modules in MODULES.values() for m in modules} & set(sys.modules)
    failed = bool(loaded)
    if loaded:
        print(f'The bare package imports {", ".join(sorted(loaded))}.')
    there = [name for name in ('none', *MODULES) if is_installed(name)]
    print(f'installed: {", ".join(there[1:]) or "no extra"}')
    for name in names or there:
        start = time.perf_counter()
        sys.stdout.flush()
        child = os.fork()
        if not child:
            problems = check(name)
            print('\n'.join(problems), end='\n' if problems else '')
            sys.stdout.flush()
            os._exit(bool(problems))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        failed = failed or code != 0
        word = 'FAILED' if code else 'works'
        print(f'{name:<10} {word:<6} {time.perf_counter() - start:6.1f} s')
    return int(failed)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
