# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Land cover and features."""

from results import Table

from .shown import Shown

_LABELS = {
    'OA': 'OA:.3f',
    'AA': 'AA:.3f',
    'kappa': 'kappa:.3f',
    'test windows that touch training': 'touching:.0%',
    'seconds': 'seconds:,.1f',
}
_SHOTS = {f'{n} labels': f'{n}/mean:.3f' for n in (5, 10, 25)}
_TUNED = {
    'OA': 'oa/mean:.3f',
    'AA': 'aa/mean:.3f',
    'kappa': 'kappa/mean:.3f',
    'share of weights trained': 'trained_share/mean:.1%',
    'seconds': 'seconds/mean:,.0f',
}
_VIEWS = {
    'AA, 5 labels': '5/AA/0:.3f',
    'AA, 20 labels': '20/AA/0:.3f',
    's a step': 'step_s:.2f',
    's of views': 'views_s:.3f',
}


def _labelled(split: str, title: str) -> Table:
    return Table(
        f'Potsdam, 25 labels of each class, {title}',
        'table',
        'method',
        _LABELS,
        key=('method',),
        only={'scene': 'potsdam', 'shots': 25, 'split': split},
        best={'AA': 'most'},
    )


SHOWN: dict[str, Shown] = {
    'potsdam': Shown(
        'a published U-Net, random forest, SVM',
        'macro IoU {rows/4/validation:.3f}; published {rows/0/validation:.3f}, SVM '
        '{rows/2/validation:.3f}',
        (
            Table(
                'Macro IoU over six classes',
                'rows',
                'method',
                {
                    'IoU': 'validation:.3f',
                    'spread over seeds': 'spread?:.3f',
                    'cross-validation': 'cross_validation?:.3f',
                    'seconds': 'seconds?:,.0f',
                },
                key=('method',),
                best={'IoU': 'most'},
            ),
        ),
    ),
    'block_split': Shown(
        'random pixels of the same scene',
        'average accuracy falls by {drop/svm/aa:.2f} (SVM) and {drop/cnn/aa:.2f} '
        '(network) as soon as the test lies elsewhere',
        (
            Table(
                'SVM on single spectra',
                'splits',
                'split',
                {
                    'OA': 'svm/oa/mean:.3f',
                    'AA': 'svm/aa/mean:.3f',
                    'kappa': 'svm/kappa/mean:.3f',
                    'windows that touch training': 'leaks/0/touching:.0%',
                },
            ),
            Table(
                'Small network on windows of principal components',
                'splits',
                'split',
                {
                    'OA': 'cnn/oa/mean:.3f',
                    'AA': 'cnn/aa/mean:.3f',
                    'kappa': 'cnn/kappa/mean:.3f',
                },
            ),
        ),
    ),
    'pixel_classification': Shown(
        'random forest and SVM',
        'all methods, with labels anywhere and with labels in other blocks',
        (
            _labelled('block', 'test in other blocks'),
            _labelled('random', 'random pixels'),
        ),
    ),
    'pixel_classification_scene': Shown(
        'none: time and memory of one whole scene',
        '{shape/0} × {shape/1} × {shape/2} with {method} in {seconds:.0f} s and '
        '{peak_MiB:,} MiB',
        (),
    ),
    'pixel_fine_tuning': Shown(
        'the head alone, and training from scratch',
        '25 labels: LoRA {shots/25/lora/aa/mean:.3f}, head '
        '{shots/25/head/aa/mean:.3f}, from scratch {shots/25/scratch/aa/mean:.3f} (AA)',
        (
            *(
                Table(
                    f'{shots} labels of each class, blocks of Potsdam',
                    f'shots/{shots}',
                    'what learns',
                    _TUNED,
                    best={'AA': 'most'},
                )
                for shots in (10, 25)
            ),
        ),
    ),
    'pretraining': Shown(
        'plain spectra, principal components, random weights, labels alone',
        'average accuracy, best of the tasks minus: random weights '
        '{verdict/best_over_random:+.3f}, labels alone '
        '{verdict/best_over_supervised:+.3f}, plain spectra '
        '{verdict/best_over_spectra:+.3f}',
        (
            Table(
                'Probes of features, Potsdam, average accuracy',
                'probe',
                'features',
                _SHOTS,
                best=dict.fromkeys(_SHOTS, 'most'),
            ),
            Table(
                'By view, MoCo',
                'views',
                'views',
                _SHOTS,
                best=dict.fromkeys(_SHOTS, 'most'),
            ),
        ),
    ),
    'graph_augmentation': Shown(
        'untrained encoders',
        'superpixels, 20 labels: AA {scenes/potsdam/superpixel/grace/span/20/AA/0:.3f} at '
        'best, untrained {scenes/potsdam/superpixel/untrained/20/AA/0:.3f}',
        (
            *(
                Table(
                    f'{objective.upper()} on superpixels of Potsdam, by view',
                    f'scenes/potsdam/superpixel/{objective}',
                    'view',
                    _VIEWS,
                    best={'AA, 20 labels': 'most'},
                )
                for objective in ('grace', 'bgrl')
            ),
        ),
    ),
}
