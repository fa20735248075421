# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How inputs are read: as users do, a little of each part."""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Rows and columns that are read at a time.
_SIDE = 8


def cube(path: Path, **options: Any) -> None:
    """Open a cube and read two of its corners, with all quality layers."""
    from rasterio.windows import Window

    from torchgeo_hsi.io import open_cube

    with open_cube(path, **options) as reader:
        count, height, width = reader.info.shape
        bands = [0, count - 1]
        rows, columns = min(_SIDE, height), min(_SIDE, width)
        for window in (
            Window(0, 0, columns, rows),
            Window(width - columns, height - rows, columns, rows),
        ):
            values, valid = reader.read(bands, window)
            assert values.shape == valid.shape == (2, rows, columns)
            reader.read_masked(bands, window)
            if reader.quality_layers:
                reader.read_quality(reader.quality_layers, window, bands)


def cube_in(unit: str, **options: Any) -> Callable[[Path], None]:
    """Open a cube whose file has no unit."""
    return lambda path: cube(path, wavelength_unit=unit, **options)


def patch(path: Path) -> None:
    """Read a patch as training does."""
    from rasterio.windows import Window

    from torchgeo_hsi.io.tiff import read_tiff, read_tiff_float, tiff_info

    info = tiff_info(path)
    count, height, width = info.shape
    rows, columns = min(_SIDE, height), min(_SIDE, width)
    corner = Window(width - columns, height - rows, columns, rows)
    read_tiff(path, [count - 1], corner)
    read_tiff_float(path, None, corner)
    assert info.transform is None or len(info.transform) == 9
    assert info.crs is None or info.crs.to_wkt()
    assert info.bands is None or len(info.bands) == count
    read_tiff(path)


def pan(path: Path) -> None:
    """Read a panchromatic image."""
    from rasterio.windows import Window

    from torchgeo_hsi.io import PRISMAReader

    with PRISMAReader(path) as reader:
        reader.read_pan(Window(0, 0, 2, 2))


def patches(path: Path) -> None:
    """Read a store of patches."""
    from torchgeo_hsi.io.store import StoreReader, read_spec, verify_store

    reader = StoreReader(path)
    items = [int(i) for shard in reader.shards for i in shard]
    reader.read_many(items[:2] + items[-1:], bands=[0])
    for item in (items[0], items[-1]):
        assert isinstance(reader.items[item], dict)
    for key in reader.items.keys:
        reader.items.column(key)
    read_spec(path)
    damaged = verify_store(path)
    if damaged:
        from torchgeo_hsi.errors import CorruptFileError

        raise CorruptFileError(f'{path} is damaged: {damaged}. Convert it again.')


def statistics(path: Path) -> None:
    """Read band statistics."""
    from torchgeo_hsi.io.statistics_file import read_statistics_file

    summary = read_statistics_file(path)
    assert len(summary.mean) == len(summary.names)


def labels(path: Path) -> None:
    """Read a label map."""
    from torchgeo_hsi.datasets import read_label_map

    found = read_label_map(path)
    found.counts()


def features(path: Path) -> None:
    """Put the features of a vector file on a scene."""
    from affine import Affine
    from rasterio.crs import CRS

    from torchgeo_hsi.datasets import read_label_map
    from torchgeo_hsi.io import CubeInfo

    like = CubeInfo(
        path='scene',
        sensor='EnMAP',
        shape=(1, 50, 50),
        dtype='int16',
        bands=None,
        nodata=None,
        crs=CRS.from_epsg(4326),
        transform=Affine(0.01, 0, 12.9, 0, -0.01, 52.7),
    )
    read_label_map(path, like=like)


def weights(path: Path) -> None:
    """Read the tensors of a checkpoint or of a safetensors file."""
    from torchgeo_hsi.models.weights._restoration_checkpoint import read_file

    read_file(path)


def module_statistics(path: Path) -> None:
    """Read the statistics that a data module left in a checkpoint."""
    from torchgeo_hsi.datamodules.statistics import read_statistics

    read_statistics(path)


def scores(path: Path) -> None:
    """Read the scores of an earlier run."""
    from torchgeo_hsi.callbacks.score_file import read_scores

    assert isinstance(read_scores(path), dict)


def record(path: Path) -> None:
    """Ask whether an output is finished."""
    from torchgeo_hsi.cli._records import OutputRecords
    from torchgeo_hsi.cli._scenes import Scene

    records = OutputRecords(path.parents[1], 'recipe')
    records.is_done(Scene('one.tif', 'one'), path.parents[1], overwrite=True)
    records.is_begun(Scene('one.tif', 'one'))


def source(path: Path) -> None:
    """Compare the source of a conversion with that of the run before."""
    import shutil

    from torchgeo_hsi.datasets._convert_source import check_source

    copy = path.parents[2] / 'work' / 'run'
    shutil.copytree(path.parent, copy, symlinks=True)
    check_source(copy, {'items': 4, 'note': ''})


def begun(path: Path) -> None:
    """Finish a copy of a store that was begun."""
    import shutil

    from torchgeo_hsi.errors import HSIError
    from torchgeo_hsi.io.store import StoreReader, done_shards, finish_store
    from torchgeo_hsi.io.store._folder import is_finished

    if not path.is_dir():
        path = path.parent
    copy = path.parents[1] / 'work' / path.name
    shutil.copytree(path, copy, symlinks=True)
    done = False
    try:
        done_shards(copy)
        finish_store(copy)
        done = True
    finally:
        # what counts as finished can be read
        assert is_finished(copy) == done
    try:
        StoreReader(copy).read_many([0])
    except HSIError as error:
        raise AssertionError('a store was finished that cannot be read') from error


def split(path: Path) -> None:
    """Read a list of patches."""
    from torchgeo_hsi.datasets.spectral_earth.splits import read_split

    read_split(path)


def sensor(path: Path) -> None:
    """Read a table of bands."""
    from torchgeo_hsi.physics.sensors import Sensor

    Sensor.from_csv(path)


def gas(path: Path) -> None:
    """Read a table of absorption."""
    from torchgeo_hsi.physics.gases.absorption import GasAbsorption

    GasAbsorption.from_csv(path)


def simulated(path: Path) -> None:
    """Read which scene a folder holds."""
    from torchgeo_hsi.io.simulated import read_config

    read_config(path.parent)


def scenes(path: Path) -> None:
    """Find the scenes of a list."""
    from torchgeo_hsi.cli._scenes import find_scenes

    find_scenes([str(path)])


def regions(path: Path) -> None:
    """Read the regions of a split."""
    from torchgeo_hsi.cli.split import _read_regions

    assert len(_read_regions(str(path), None, 'EPSG:32633'))


def color(path: Path) -> None:
    """Read a color image."""
    from torchgeo_hsi.datamodules._superresolution_images import ColorImages

    assert ColorImages(str(path), peak=1e4).read(0).image.ndim == 3


def stac(path: Path) -> None:
    """List the scenes of a catalog."""
    from torchgeo_hsi.cli._stac import stac_scenes

    list(stac_scenes(str(path), None))


def dataset_config(path: Path) -> None:
    """Read the dataset of a configuration."""
    from torchgeo_hsi.cli._dataset import _read_config

    _read_config(str(path))


def _members(path: Path) -> Iterator[tuple[str, int]]:
    """List names and sizes of an archive, as far as it can be read."""
    with suppress(Exception), tarfile.open(path) as tar:
        for member in tar:
            yield Path(member.name).name, member.size


def archive(path: Path) -> None:
    """Extract an archive, as downloads do."""
    from fuzz.valid import TOP
    from torchgeo_hsi.datasets.spectral_earth._extract import extract

    tree = path.parents[1] / 'out' / 'tree'
    try:
        extract(path, tree, TOP)
    finally:
        found = {(p.name, p.stat().st_size) for p in tree.rglob('*') if p.is_file()}
        # the next run goes on from whole files
        assert found <= set(_members(path)), found


def hyperview(path: Path) -> None:
    """Read the samples of HYPERVIEW."""
    from torchgeo_hsi.datasets import Hyperview

    for split in ('train', 'val'):
        dataset = Hyperview(path, split=split)
        for index in range(len(dataset)):
            assert dataset[index]['image'].ndim == 3


def toolbox(path: Path) -> None:
    """Read pairs of the toolbox."""
    from torchgeo_hsi.datasets.prisma_pansharpening import PRISMAPansharpening

    dataset = PRISMAPansharpening(path, split='train')
    for index in range(len(dataset)):
        assert dataset[index]['image'].ndim == 3


def pairs(path: Path) -> None:
    """Read pairs of a clean and a noisy cube."""
    from torchgeo_hsi.datasets import MatPairs

    assert MatPairs(path)[0]['image'].ndim == 3


def tree(path: Path) -> None:
    """Open the manifest of a tree of patches, and read all of these."""
    from torchgeo_hsi.datasets import SpectralEarth
    from torchgeo_hsi.datasets.spectral_earth.manifest import open_manifest

    manifest = path.parent / 'out' / 'manifest.npz'
    dataset = SpectralEarth(path, item='patch', strict=True, manifest=manifest)
    # what was written is read again
    open_manifest(path, manifest, rebuild=False)
    for index in range(len(dataset)):
        assert dataset[index]['image'].ndim == 3
