# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Simulated EnMAP scenes on disk."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from .._typing import PathLike
from ..errors import CorruptFileError, OutputError
from ..physics.simulation import (
    LAND_COVER,
    EnMAPScene,
    PlumeSource,
    SceneConfig,
    SceneTile,
)
from ..physics.simulation.instrument import is_vnir
from ..physics.simulation.scene import NODATA, PIXEL, SUN_AZIMUTH, SUN_ZENITH
from ._files import shorten
from ._scratch import remove_leftovers
from ._writer import is_taken
from .enmap_layers import BACKGROUND, LAND, WATER, ProductLayer, blocks
from .enmap_writer import EnMAPL2AWriter, scene_name

#: What is raised over a description that is damaged.
_BROKEN = (AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)

#: Start of the acquisition of every simulated scene, UTC.
START = datetime(2023, 7, 15, 10, 45, 12)

#: Version of the simulator; the same seed gives the same scene within a version.
VERSION = 1

#: Parts of the truth: classes, their shares, and the image without noise.
TRUTH_PARTS = ('TRUTH_CLASSES', 'TRUTH_ABUNDANCES', 'TRUTH_CLEAN_IMAGE')

#: Part of the truth of scenes with a plume: its enhancement in ppm m.
GAS_PART = 'TRUTH_GAS'

_DOCUMENT = 'TRUTH'
_CRS = 'EPSG:32633'

# scenes of different seeds lie side by side: 16 columns and rows of 38.4 km
_WEST, _NORTH, _STEP = 210_000.0, 5_910_000.0, 38_400.0


def simulate_enmap(
    root: PathLike,
    size: int | tuple[int, int] = 256,
    seed: int = 0,
    cloud_cover: float = 0.05,
    *,
    footprint: bool = True,
    noise: float = 1.0,
    plume: PlumeSource | Mapping[str, Any] | None = None,
    compress: str | None = 'deflate',
    workers: int = 2,
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Simulate an EnMAP L2A product with its truth.

    The same arguments always give the same pixels. The product appears in one step when
    it is complete. Memory does not grow with its size.

    Args:
        root: Folder of the product. If it holds this very scene already, nothing
            happens.
        size: Rows and columns, one number for both.
        seed: Seed of landscape, spectra, clouds and noise. Scenes of seeds up to 255
            lie side by side, 38.4 km apart.
        cloud_cover: Share of the imaged pixels under cloud, 0 to 0.9.
        footprint: Whether the swath is tilted as in a real product, so that the corners
            of the raster are empty.
        noise: Factor on noise and stripes; 0 for a perfect instrument.
        plume: A plume of gas over the scene, or its arguments by name; then the truth
            has a raster of its enhancement, ``TRUTH_GAS``. The rest of the scene, noise
            included, stays the same.
        compress: Compression of the rasters, or None.
        workers: Threads that compute.
        overwrite: Whether to replace another simulated product in *root*.
        progress: Called with the finished share, 0 to 1.

    Returns:
        The folder of the product.

    Raises:
        ValueError: If a value is out of its range.
        UnknownNameError: If there is no such gas.
        OutputError: If *root* holds another scene that is not to be replaced, or
            anything that was not simulated, or cannot be written.
    """
    height, width = (size, size) if isinstance(size, int) else size
    config = SceneConfig(
        height, width, seed, cloud_cover, footprint, noise, PlumeSource.of(plume)
    )
    path = Path(root)
    if holds_scene(path, config, overwrite):
        # of a run that was killed when it had finished
        remove_leftovers(path.parent, f'.{path.name}.')
        return path
    scene = EnMAPScene(config)
    done, vnir = 0, is_vnir(scene.bands)
    try:
        with _open_writer(path, scene, compress, overwrite) as writer:
            for window, tile in _render(scene, workers):
                parts = _parts(tile, vnir)
                if config.plume is None:
                    del parts[GAS_PART]
                writer.write(window, parts)
                done += window.width * window.height
                if progress is not None:
                    progress(done / (height * width))
    except OutputError:
        # another process was faster, as in distributed training
        if overwrite or read_config(path) != config:
            raise
    return path


def holds_scene(path: Path, config: SceneConfig, overwrite: bool) -> bool:
    """Tell whether a folder holds a scene already, and refuse to lose another one.

    Args:
        path: The folder.
        config: The scene.
        overwrite: Whether another simulated scene may be lost.

    Returns:
        False where the scene is to be written, which *overwrite* demands.

    Raises:
        OutputError: If there is something else that is not to be replaced.
        CorruptFileError: If the description of the scene there is damaged.
    """
    if is_taken(path) and not _documents(path):
        raise OutputError(
            f'{path} is not empty and holds no simulated scene, so it is left as it '
            'is. Choose another folder.'
        )
    found = None if overwrite else read_config(path)
    if found is not None and found != config:
        there, wanted = differences(found, vars(config))
        raise OutputError(
            f'{path} holds a scene with {there}, but {wanted} was asked for. Choose '
            'another folder, or pass overwrite=True.'
        )
    return found is not None


def read_config(root: PathLike) -> SceneConfig | None:
    """Find out which scene a folder holds.

    Args:
        root: Folder of a product.

    Returns:
        What it was simulated with, or None if it holds no simulated product.

    Raises:
        CorruptFileError: If the description of the scene is damaged, or files of the
            product are missing.
    """
    found = _documents(root)
    if not found:
        return None
    try:
        content = json.loads(found[0].read_text(encoding='utf-8'))
        scene = content['scene']
        plume = PlumeSource.of(scene.get('plume'))
        config = SceneConfig(**scene | {'plume': plume})
        missing = [name for name in content['parts'] if not truth_file(root, name)]
    except _BROKEN as error:
        raise CorruptFileError(
            f'{found[0]} is damaged ({shorten(str(error), 200)}). Delete the folder and simulate again.'
        ) from error
    if missing:
        raise CorruptFileError(
            f'{root} lacks {", ".join(missing)}, which {found[0].name} names. Delete '
            'the folder and simulate again.'
        )
    return config


def _documents(root: PathLike) -> list[Path]:
    """Find the descriptions of simulated scenes in a folder."""
    return sorted(Path(root).glob(f'*-{_DOCUMENT}.JSON'))


def differences(found: SceneConfig, wanted: Mapping[str, Any]) -> tuple[str, str]:
    """Name what differs between two scenes, for messages.

    Args:
        found: The scene that is there.
        wanted: What was asked for, by the names of the configuration.

    Returns:
        Values that are there, and those that were asked for; empty if none differ.
    """
    other = [name for name, value in wanted.items() if getattr(found, name) != value]
    return (
        ', '.join(f'{name}={getattr(found, name)}' for name in other),
        ', '.join(f'{name}={wanted[name]}' for name in other),
    )


def truth_file(root: PathLike, part: str) -> str | None:
    """Find a raster of a simulated product.

    Args:
        root: Folder of the product.
        part: Last part of the file name, such as ``'TRUTH_CLASSES'``.

    Returns:
        The file, or None.
    """
    found = sorted(Path(root).glob(f'*-{part}.TIF'))
    return str(found[0]) if found else None


def _open_writer(
    path: Path, scene: EnMAPScene, compress: str | None, overwrite: bool
) -> EnMAPL2AWriter:
    config = scene.config
    layers, settings = _truth_layers(scene), asdict(config)
    if config.plume is None:
        # products without plume are what they were before there were plumes
        del settings['plume']
    west = _WEST + _STEP * (config.seed % 16)
    north = _NORTH - _STEP * (config.seed // 16 % 16)
    return EnMAPL2AWriter(
        path,
        scene.bands,
        (config.height, config.width),
        _CRS,
        Affine(PIXEL, 0, west, 0, -PIXEL, north),
        START,
        name=scene_name(START, datatake=config.seed),
        sun_zenith=SUN_ZENITH,
        sun_azimuth=SUN_AZIMUTH,
        layers=layers,
        documents={
            _DOCUMENT: {
                'simulator': VERSION,
                'scene': settings,
                'classes': [cover.name for cover in LAND_COVER],
                'parts': ['SPECTRAL_IMAGE', *(layer.part for layer in layers)],
            }
        },
        compress=compress,
        overwrite=overwrite,
    )


def _truth_layers(scene: EnMAPScene) -> list[ProductLayer]:
    """List the rasters of the truth."""
    names = {code: cover.name for code, cover in enumerate(LAND_COVER)}
    colors = {code: cover.color for code, cover in enumerate(LAND_COVER)}
    bands, nan = scene.bands, float('nan')
    # in the order of TRUTH_PARTS
    layers = [
        ProductLayer('TRUTH_CLASSES', nodata=255, colormap=colors, class_names=names),
        ProductLayer(
            'TRUTH_ABUNDANCES',
            len(names),
            'float32',
            nan,
            descriptions=tuple(names.values()),
        ),
        ProductLayer('TRUTH_CLEAN_IMAGE', len(bands), 'int16', NODATA, bands),
    ]
    if scene.config.plume is not None:
        title = scene.config.plume.absorption.title.lower()
        text = (f'{title} enhancement in ppm m',)
        layers.append(ProductLayer(GAS_PART, 1, 'float32', nan, descriptions=text))
    return layers


def _render(scene: EnMAPScene, workers: int) -> Iterator[tuple[Window, SceneTile]]:
    """Compute windows in their order, a few of them ahead."""

    def render(window: Window) -> SceneTile:
        return scene.render(window.col_off, window.row_off, window.width, window.height)

    todo = blocks(scene.config.height, scene.config.width)
    queue: deque[tuple[Window, Future[SceneTile]]] = deque()
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for window in todo:
            queue.append((window, pool.submit(render, window)))
            if len(queue) > workers:
                first, future = queue.popleft()
                yield first, future.result()
        while queue:
            first, future = queue.popleft()
            yield first, future.result()


def _parts(tile: SceneTile, vnir: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """Name the rasters of a window."""
    water = tile.classes == 0
    kind = np.where(tile.inside, np.where(water, WATER, LAND), BACKGROUND)
    # bits 2 and 3: interpolated in the SWIR and in the VNIR
    dead = tile.defects == 1
    flags = 4 * dead[~vnir].any(axis=0) + 8 * dead[vnir].any(axis=0)
    return {
        'SPECTRAL_IMAGE': tile.image,
        'QL_QUALITY_CLASSES': kind.astype(np.uint8),
        'QL_QUALITY_CLOUD': tile.cloud.astype(np.uint8),
        'QL_QUALITY_CLOUDSHADOW': tile.shadow.astype(np.uint8),
        'QL_QUALITY_HAZE': tile.haze.astype(np.uint8),
        'QL_QUALITY_CIRRUS': tile.cirrus.astype(np.uint8),
        'QL_QUALITY_TESTFLAGS': flags.astype(np.uint8),
        'QL_PIXELMASK': tile.defects,
        'TRUTH_CLASSES': tile.classes,
        'TRUTH_ABUNDANCES': tile.abundances,
        'TRUTH_CLEAN_IMAGE': tile.clean,
        GAS_PART: tile.enhancement,
    }
