# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Writing a scene to a store."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rasterio.windows import Window

from ..._typing import PathLike
from ..base import CubeReader
from ._blosc import import_blosc
from ._encode import encode_shard
from ._folder import begin_store, is_finished
from ._scene_spec import SceneSpec
from ._shards import done_shards, put_shard
from .finish import finish_store
from .items import ItemTable
from .spec import COMPRESSIONS


def write_stored_scene(
    reader: CubeReader,
    path: PathLike,
    *,
    layers: Iterable[str] | None = None,
    block: int | None = None,
    shard: int = 512,
    compression: str = 'lz4hc',
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
) -> str:
    """Write a scene to a store, from which random windows are cheap to read.

    The stored numbers, all metadata and the quality layers survive. A call that was
    interrupted is taken up where it was by the same call, and a complete store is left
    as it is. Memory does not grow with the scene.

    Args:
        reader: The open scene. Values that were given to it instead of those of the
            file, such as wavelengths, are stored.
        path: Folder of the store.
        layers: Quality layers to store; all that the scene has by default.
        block: Rows and columns of the squares of which all bands are compressed
            together; by default such that they fit into the cache of a processor (32
            for 202 bands of int16).
        shard: About how many rows and columns are in one file.
        compression: ``'lz4hc'``, ``'lz4'`` or ``'zstd'``, see :class:`StoreSpec`.
        threads: Threads that compress.
        progress: Called with the finished share, 0 to 1.

    Returns:
        SHA-256 of the store, the same for the same scene.

    Raises:
        ValueError: If a number is not positive or the compression is unknown.
        OutputError: If the folder holds something else, or cannot be written; nothing
            half-written is left behind.
        MetadataError: If a quality layer is unknown, or the data type cannot be stored.
        CorruptFileError: If the scene is damaged.
        ImportError: If numcodecs is not installed.
    """
    import_blosc()
    if (
        compression not in COMPRESSIONS
        or shard < 1
        or (block is not None and block < 1)
    ):
        raise ValueError(
            f'Expected a positive block and shard and a compression of '
            f'{", ".join(COMPRESSIONS)}, got {block}, {shard} and {compression!r}.'
        )
    names = list(reader.quality_layers if layers is None else layers)
    root = Path(path)
    reader._check_layers(names)
    axes = {name: 3 if name in reader.band_layers else 2 for name in names}
    spec = SceneSpec.of(reader, axes, block, shard, compression)
    windows = spec.windows()
    begin_store(root, 'scene', spec.to_json(), len(windows), spec.arrays())
    if not is_finished(root):
        done = done_shards(root)
        with ThreadPoolExecutor(threads) as executor:
            for number, window in enumerate(windows):
                if number not in done:
                    files = _encode(reader, spec, number, window, executor)
                    put_shard(root, number, files, ItemTable.from_items([{}]))
                if progress is not None:
                    progress((number + 1) / len(windows))
    return finish_store(root)


def _encode(
    reader: CubeReader,
    spec: SceneSpec,
    number: int,
    window: Window,
    executor: ThreadPoolExecutor,
) -> dict[str, bytes]:
    """Encode the files of a shard."""
    place = divmod(number, spec.grid[1])
    bands = list(range(spec.shape[0]))
    files: dict[str, bytes] = {}
    image = spec.image()
    values: NDArray[Any] = reader._read_raw(bands, window)
    files[image.key((0, *place))] = encode_shard(image, values, executor)
    if spec.masked:
        layout = spec.mask()
        mask = reader._read_mask(window)
        assert mask is not None
        files[layout.key(place)] = encode_shard(layout, mask, executor)
    for name, axes in spec.layers.items():
        layout = spec.layer(name)
        if axes == 2:
            flags = reader._read_layer(name, window, bands)
            files[layout.key(place)] = encode_shard(layout, flags, executor)
        else:
            flags = reader._read_band_layer(name, window, bands)
            files[layout.key((0, *place))] = encode_shard(layout, flags, executor)
    if number == 0:
        for layout, array in spec.coordinates().values():
            files[layout.key((0,))] = encode_shard(layout, array, executor)
    return files
