# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Speed of networks and methods."""

from results import Table

from .shown import Shown

SHOWN: dict[str, Shown] = {
    'adapter': Shown(
        'the same adapter as Conv3d layers',
        '{infer/speedup:.1f} × faster forward, {train/speedup:.1f} × in training; '
        '{infer/peak_mib/fast} MiB for {infer/peak_mib/conv3d}',
        (
            Table(
                'Time and memory',
                '',
                '',
                {
                    'Conv3d (ms)': 'ms/conv3d:,.0f',
                    'ours (ms)': 'ms/fast:,.0f',
                    'times faster': 'speedup:.2f',
                    'Conv3d (MiB)': 'peak_mib/conv3d:,',
                    'ours (MiB)': 'peak_mib/fast:,',
                },
                key=('infer', 'train'),
            ),
        ),
    ),
    'denoising_speed': Shown(
        'the official networks',
        'HSDT-M {hsdt_m_speedup:.1f} × and MAN v1 {man_v1_speedup:.1f} × faster, '
        'in {hsdt_m_memory_ratio:.2f} and {man_v1_memory_ratio:.2f} of the memory',
        (
            Table(
                'Forward pass, by network and bands',
                'networks',
                'network',
                {
                    'official (ms)': 'ms/baseline:,.0f',
                    'ours (ms)': 'ms/ours:,.0f',
                    'times faster': 'speedup:.2f',
                    'share of memory': 'memory_ratio:.2f',
                    'largest difference': 'relative_difference:.1e',
                },
            ),
        ),
    ),
    'superresolution_speed': Shown(
        'the official ESSAformer',
        '{speedup:.2f} × faster in {memory_ratio:.2f} of the memory',
        (
            Table(
                'By size of the coarse image',
                'sizes',
                'pixels',
                {
                    'official (s)': 'seconds/baseline:.2f',
                    'ours (s)': 'seconds/ours:.2f',
                    'times faster': 'speedup:.2f',
                    'official (MiB)': 'peak_mib/baseline:,',
                    'ours (MiB)': 'peak_mib/ours:,',
                },
                key=('pixels',),
            ),
        ),
    ),
    'pansharpening_speed': Shown(
        "the authors' code",
        'classical methods {classical_speedup_median:.0f} × (median), Q2n '
        '{q2n_speedup:.0f} ×, rho-PNN {rho_pnn_speedup:.1f} × faster',
        (
            Table(
                'Time and memory',
                'methods',
                'method',
                {
                    "authors' (s)": 'seconds/baseline:.3f',
                    'ours (s)': 'seconds/ours:.3f',
                    'times faster': 'speedup:.1f',
                    'share of memory': 'memory_ratio:.2f',
                    'mean difference': 'mean_difference:.1e',
                },
            ),
        ),
    ),
    'pretraining_speed': Shown(
        'plain loops of the same methods',
        'MoCo {moco_speedup:.2f} ×, DINO {dino_speedup:.2f} ×, MAE {mae_speedup:.2f} ×, '
        'INTL {intl_speedup:.2f} × as fast; views {views_speedup:.2f} ×',
        (
            Table(
                'A step of training',
                'steps',
                'task',
                {
                    'plain loop (ms)': 'ms/baseline:,.0f',
                    'ours (ms)': 'ms/ours:,.0f',
                    'times faster': 'speedup:.2f',
                },
            ),
        ),
    ),
}
