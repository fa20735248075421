# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Formats that patches for a training may be stored in.

Each function writes patches to a folder and returns a function that reads a batch of
them, in any order, as a list of arrays or as one array.
"""

import importlib.util
import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from torchgeo_hsi.io.store import (
    FieldSpec,
    StoreReader,
    StoreSpec,
    create_store,
    finish_store,
    write_shard,
)

type Patches = Sequence[NDArray[np.int16]]
type Read = Callable[[Sequence[int]], Any]

#: Items of a shard, wherever a format has such a thing.
SHARD = 16


def _shards(patches: Patches) -> list[NDArray[np.int16]]:
    return [
        np.stack(patches[start : start + SHARD])
        for start in range(0, len(patches), SHARD)
    ]


def raw_files(folder: Path, patches: Patches) -> Read:
    """Bare numbers, a file for each patch: the limit."""
    paths = [folder / f'{i}.bin' for i in range(len(patches))]
    for path, patch in zip(paths, patches, strict=True):
        patch.tofile(path)
    shape = patches[0].shape
    return lambda indexes: [
        np.fromfile(paths[i], np.int16).reshape(shape) for i in indexes
    ]


def raw_stacked(folder: Path, patches: Patches) -> Read:
    """Bare numbers, a file for each patch, stacked as a data loader does."""
    read = raw_files(folder, patches)
    return lambda indexes: np.stack(read(indexes))


def memmap(folder: Path, patches: Patches) -> Read:
    """Bare numbers in one file, mapped into memory."""
    with (folder / 'all.bin').open('wb') as file:
        for patch in patches:
            file.write(patch.tobytes())
    shape = (len(patches), *patches[0].shape)
    array = np.memmap(folder / 'all.bin', np.int16, 'r', shape=shape)
    return lambda indexes: [np.array(array[i]) for i in indexes]


def _ours(folder: Path, patches: Patches, compression: str) -> Path:
    field = FieldSpec(patches[0].shape, 'int16', 0)
    spec = StoreSpec({'image': field}, len(patches), SHARD, {}, compression)
    create_store(folder / 'store', spec)
    for number, shard in enumerate(_shards(patches)):
        write_shard(folder / 'store', number, {'image': shard}, [{}] * len(shard))
    finish_store(folder / 'store')
    return folder / 'store'


def store(compression: str, many: bool = False) -> Callable[[Path, Patches], Read]:
    """The store of torchgeo-hsi.

    Args:
        compression: Kind of compression.
        many: Whether a batch is read into one array.
    """

    def write(folder: Path, patches: Patches) -> Read:
        reader = StoreReader(_ours(folder, patches, compression), threads=1)
        if many:
            return lambda indexes: reader.read_many(indexes)['image']
        return lambda indexes: [reader.read(i)['image'] for i in indexes]

    return write


def by_zarr(folder: Path, patches: Patches) -> Read:
    """The same files, read by zarr-python."""
    import zarr

    array = zarr.open_group(_ours(folder, patches, 'lz4hc'), mode='r')['image']
    return lambda indexes: [array[i] for i in indexes]


def by_tensorstore(many: bool) -> Callable[[Path, Patches], Read]:
    """The same files, read by tensorstore with one thread.

    Args:
        many: Whether a batch is read into one array.
    """

    def write(folder: Path, patches: Patches) -> Read:
        import tensorstore

        path = _ours(folder, patches, 'lz4hc') / 'image'
        one = {'limit': 1}
        array = tensorstore.open(
            {'driver': 'zarr3', 'kvstore': f'file://{path}/'},
            context=tensorstore.Context(
                {'data_copy_concurrency': one, 'file_io_concurrency': one}
            ),
        ).result()
        if many:
            return lambda indexes: array.oindex[list(indexes)].read().result()
        return lambda indexes: [array[i].read().result() for i in indexes]

    return write


def litdata(compression: str | None) -> Callable[[Path, Patches], Read]:
    """Chunks of litdata.

    Args:
        compression: Its compression, or None.
    """

    def write(folder: Path, patches: Patches) -> Read:
        import litdata as package

        raw = folder / 'raw.npy'
        np.save(raw, np.stack(patches))
        package.optimize(
            _Row(str(raw)),
            list(range(len(patches))),
            str(folder / 'chunks'),
            chunk_bytes=SHARD * patches[0].nbytes,
            num_workers=1,
            compression=compression,
            verbose=False,
        )
        raw.unlink()
        dataset = package.StreamingDataset(str(folder / 'chunks'))
        return lambda indexes: [dataset[i]['image'] for i in indexes]

    return write


class _Row:
    """Gives litdata one patch; its processes import it by name."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, index: int) -> dict[str, Any]:
        return {'image': np.array(np.load(self.path, mmap_mode='r')[index])}


def webdataset(folder: Path, patches: Patches) -> Read:
    """Tar files of .npy, in the only order that they can be read in."""
    import webdataset as package

    for number, shard in enumerate(_shards(patches)):
        with tarfile.open(folder / f'{number:03d}.tar', 'w') as archive:
            for row, patch in enumerate(shard):
                buffer = io.BytesIO()
                np.save(buffer, patch)
                info = tarfile.TarInfo(f'{number * SHARD + row:06d}.npy')
                info.size = buffer.tell()
                buffer.seek(0)
                archive.addfile(info, buffer)
    urls = sorted(str(path) for path in folder.glob('*.tar'))
    samples = iter(
        package.WebDataset(urls, shardshuffle=False, empty_check=False)
        .decode()
        .repeat()
    )
    return lambda indexes: [next(samples)['npy'] for _ in indexes]


def blosc2(folder: Path, patches: Patches) -> Read:
    """An array of blosc2 for each shard, with the codec of our store."""
    import blosc2 as package

    package.set_nthreads(1)
    arrays = []
    for number, shard in enumerate(_shards(patches)):
        urlpath = str(folder / f'{number}.b2nd')
        package.asarray(
            shard,
            urlpath=urlpath,
            mode='w',
            chunks=(1, *shard.shape[1:]),
            blocks=(1, 17, *shard.shape[2:]),
            cparams={
                'codec': package.Codec.LZ4HC,
                'clevel': 5,
                'filters': [package.Filter.SHUFFLE],
            },
        )
        arrays.append(package.open(urlpath, mode='r'))
    return lambda indexes: [arrays[i // SHARD][i % SHARD] for i in indexes]


def geotiff(**options: Any) -> Callable[[Path, Patches], Read]:
    """GeoTIFFs, read by rasterio.

    Args:
        **options: Options of the driver.
    """

    def write(folder: Path, patches: Patches) -> Read:
        paths = [folder / f'{i}.tif' for i in range(len(patches))]
        count, height, width = patches[0].shape
        for path, patch in zip(paths, patches, strict=True):
            with rasterio.open(
                path,
                'w',
                driver='GTiff',
                count=count,
                height=height,
                width=width,
                dtype='int16',
                transform=rasterio.Affine(30, 0, 5e5, 0, -30, 5e6),
                **options,
            ) as dst:
                dst.write(patch)

        def read(path: Path) -> NDArray[Any]:
            with rasterio.open(path) as src:
                return src.read()

        return lambda indexes: [read(paths[i]) for i in indexes]

    return write


#: What is compared: name, module that it needs, what writes it.
FORMATS: dict[str, tuple[str, Callable[[Path, Patches], Read]]] = {
    'raw files': ('numpy', raw_files),
    'raw files, whole batch': ('numpy', raw_stacked),
    'memmap': ('numpy', memmap),
    'store, lz4hc': ('numcodecs', store('lz4hc')),
    'store, lz4hc, whole batch': ('numcodecs', store('lz4hc', many=True)),
    'store, lz4': ('numcodecs', store('lz4')),
    'store, zstd': ('numcodecs', store('zstd')),
    'store by tensorstore': ('tensorstore', by_tensorstore(many=False)),
    'store by tensorstore, whole batch': ('tensorstore', by_tensorstore(many=True)),
    'store by zarr-python': ('zarr', by_zarr),
    'blosc2 arrays': ('blosc2', blosc2),
    'litdata': ('litdata', litdata(None)),
    'litdata, zstd': ('litdata', litdata('zstd')),
    'webdataset (in order)': ('webdataset', webdataset),
    'GeoTIFF, pixel': ('rasterio', geotiff(interleave='pixel')),
    'GeoTIFF, band, deflate': (
        'rasterio',
        geotiff(interleave='band', compress='deflate', predictor=2),
    ),
}


def installed(name: str) -> bool:
    """Tell whether what a format needs is installed."""
    return importlib.util.find_spec(FORMATS[name][0]) is not None
