# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Quality of restoration."""

from results import Table

from .shown import Shown

_SHARP = {
    'Q2n': 'reduced/Q2n:.3f',
    'ERGAS': 'reduced/ERGAS:.2f',
    'spectral angle (°)': 'reduced/SAM_deg:.2f',
    'RQNR, full resolution': 'full/RQNR:.3f',
    'seconds': 'seconds:,.2f',
}
_NOISES = {
    'Gaussian 30': 'gaussian_30/mpsnr:.2f',
    '50': 'gaussian_50/mpsnr:.2f',
    '70': 'gaussian_70/mpsnr:.2f',
    'unknown strength': 'gaussian_blind/mpsnr:.2f',
    'mixture': 'mixture/mpsnr:.2f',
}


def _enlarged(scale: int) -> Table:
    return Table(
        f'Made {scale} times as coarse and enlarged again, mean of held-back cubes',
        'rows',
        'method',
        {
            'MPSNR (dB)': 'MPSNR:.2f',
            'MSSIM': 'MSSIM:.3f',
            'spectral angle (°)': 'SAM_deg:.2f',
            'ERGAS': 'ERGAS:.2f',
            'seconds': 'seconds:.2f',
        },
        key=('method',),
        only={'scale': scale},
        best={'MPSNR (dB)': 'most', 'spectral angle (°)': 'least'},
    )


SHOWN: dict[str, Shown] = {
    'denoising_quality': Shown(
        'FastHyDe, LRTV and other classical methods',
        'mixture of noises: {scores/robust_subspace:collaborative+hsdt_s:eigen/mixture/'
        'mpsnr:.2f} dB, FastHyDe {scores/fasthyde/mixture/mpsnr:.2f} dB',
        (
            Table(
                'MPSNR (dB), mean of held-back cubes',
                'scores',
                'method',
                _NOISES,
                best=dict.fromkeys(_NOISES, 'most'),
            ),
            Table(
                'Spectral angle (°) and time for the mixture',
                'scores',
                'method',
                {
                    'spectral angle (°)': 'mixture/sam:.2f',
                    'MSSIM': 'mixture/mssim:.3f',
                    'seconds': 'mixture/seconds:.2f',
                },
                best={'spectral angle (°)': 'least'},
            ),
        ),
    ),
    'denoising_scene': Shown(
        'tiles that know nothing of each other',
        'peak memory {peak_mib:,} MiB for 1,024 × 1,024 × 202 with the default',
        (
            Table(
                'Difference of tiles to one piece, relative to the change',
                'seam',
                'method',
                {
                    'statistics of each tile': 'tile_mean?:.3g',
                    'statistics of the scene': 'scene_mean:.3g',
                },
            ),
            *(
                Table(
                    f'Peak memory, {method}',
                    f'memory/{method}',
                    'side (pixels)',
                    {'MiB': 'peak_mib:,', 'seconds': 'seconds:,.0f'},
                    key=('side',),
                )
                for method in ('copy', 'svd', 'pretrained_subspace', 'hyres')
            ),
        ),
    ),
    'denoising_fine_tuning': Shown(
        'the same network without fine-tuning',
        'PSNR {non_iid/before/mpsnr:.2f} → {non_iid/recorrupted/mpsnr:.2f} dB without a '
        'clean image, {non_iid/with_truth/mpsnr:.2f} dB with one',
        (
            *(
                Table(
                    title,
                    name,
                    'network',
                    {
                        'MPSNR (dB)': 'mpsnr:.2f',
                        'spectral angle (°)': 'sam_deg:.2f',
                        'seconds': 'seconds?:,.0f',
                    },
                )
                for name, title in (
                    ('non_iid', 'Noise of another strength in each band'),
                    ('stripe', 'Stripes'),
                )
            ),
        ),
    ),
    'pansharpening_quality': Shown(
        'interpolation (`exp`)',
        'pixels {ratio} × finer: all methods on four cubes, those that lose included',
        (
            *(
                Table(
                    f'{title}, pixels a quarter as large',
                    'rows',
                    'method',
                    _SHARP,
                    key=('method',),
                    only={'cube': cube},
                    best={
                        'Q2n': 'most',
                        'ERGAS': 'least',
                        'spectral angle (°)': 'least',
                        'RQNR, full resolution': 'most',
                    },
                )
                for cube, title in (
                    ('enmap', 'EnMAP'),
                    ('jasper_ridge', 'AVIRIS, Jasper Ridge'),
                )
            ),
        ),
    ),
    'superresolution_quality': Shown(
        'bicubic interpolation',
        'PSNR {gains/x2 shipped/MPSNR/0:+.2f} dB at x2, {gains/x4 shipped/MPSNR/0:+.2f} '
        'dB at x4; angle {gains/x2 shipped/SAM_deg/0:+.2f}° and '
        '{gains/x4 shipped/SAM_deg/0:+.2f}°',
        (_enlarged(2), _enlarged(4)),
    ),
}
