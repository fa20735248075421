# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Reading, loading and memory."""

from results import Table

from .shown import Shown

SHOWN: dict[str, Shown] = {
    'loading': Shown(
        "TorchGeo's samplers, rasterio, files as raw bytes",
        'crops from compressed scenes {scene_crops_vs_torchgeo/once:.0f} × as fast as '
        "TorchGeo's",
        (
            Table(
                'Random 128² crops of 202 bands, a second',
                'scenes',
                'workers',
                {
                    'TorchGeo': 'torchgeo_per_second:.1f',
                    'rasterio': 'rasterio_per_second:.1f',
                    'ours, each pixel once': 'once_per_second:.1f',
                    'ours, each pixel twice': 'twice_per_second:.1f',
                    'memory map': 'memmap_per_second:.1f',
                },
            ),
            Table(
                'By layout of the files',
                'layouts',
                'layout',
                {
                    'TorchGeo (a second)': 'torchgeo_per_second:.1f',
                    'ours (a second)': 'once_per_second:.1f',
                    'times faster': 'ratio:.1f',
                },
            ),
            Table(
                'Share of a training step that waits for data',
                'training',
                'workers',
                {
                    'all steps': 'share:.1%',
                    'after the first': 'share_after_first:.1%',
                    's a step': 'step_seconds:.2f',
                },
            ),
        ),
    ),
    'stores': Shown(
        'raw files, and the formats of others',
        '{formats/store, lz4hc/size_share:.2f} of the size, '
        '{formats/store, lz4hc/read_ms:.1f} ms a patch (raw '
        '{formats/raw files/read_ms:.1f}, GeoTIFF '
        '{formats/GeoTIFF, band, deflate/read_ms:.0f})',
        (
            Table(
                'Random reads of patches',
                'formats',
                'format',
                {
                    'share of the size': 'size_share:.3f',
                    'write (ms)': 'write_ms:,.1f',
                    'read (ms)': 'read_ms:,.2f',
                },
            ),
        ),
    ),
    'spectralearth_reading': Shown(
        'the plain rasterio loop',
        '{single_vs_rasterio:.1f} × as fast in int16, {float_vs_rasterio:.1f} × in '
        'float32, {pair_vs_rasterio:.1f} × for two dates',
        (
            Table(
                'One patch of 128 × 128 × 202, by layout of the file',
                'layouts',
                'layout',
                {
                    'MB': 'megabytes:.2f',
                    'rasterio (ms)': 'ms/rasterio int16:.2f',
                    'ours (ms)': 'ms/ours int16:.2f',
                    'times faster, int16': 'int16_vs_rasterio:.1f',
                    'float32': 'float_vs_rasterio:.1f',
                    'of the bare bytes': 'share_of_raw_limit:.0%',
                },
            ),
        ),
    ),
    'band_statistics': Shown(
        'a plain loop of torch operations',
        '{rows/moments/speedup:.1f} × faster for moments, '
        '{rows/with quantiles/speedup:.1f} × with quantiles',
        (
            Table(
                'Throughput',
                'rows',
                'what is counted',
                {
                    'plain loop (MB/s)': 'plain_mb_s:,.0f',
                    'ours (MB/s)': 'ours_mb_s:,.0f',
                    'times faster': 'speedup:.2f',
                },
            ),
        ),
    ),
    'predict_memory': Shown(
        'a scene with a sixteenth of the pixels',
        'memory × {map/ratio:.2f} (class map) and × {cube/ratio:.2f} (202-band cube)',
        (
            *(
                Table(
                    title,
                    name,
                    'scene',
                    {
                        'peak (MiB)': 'peak_mib:,',
                        'before (MiB)': 'before_mib:,',
                        'seconds': 'seconds:,.0f',
                        'output (MB)': 'output_mb:,.1f',
                    },
                    key=('small', 'large'),
                )
                for name, title in (('map', 'Class map'), ('cube', '202-band cube'))
            ),
        ),
    ),
}
