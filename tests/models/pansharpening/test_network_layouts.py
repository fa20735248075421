# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Names and sizes of the tensors of published networks for pansharpening."""

from typing import Any

import pytest

from torchgeo_hsi.models.pansharpening.networks import (
    DHPDARN,
    RPNN,
    DIPHyperKite,
    HSpeNet,
    HyperDSNet,
    HyperPNN,
)

#: Bands of the published checkpoints.
B = 159

#: Weights of the published checkpoints for 159 bands.
SHAPES = {
    HyperPNN: {
        'conv1': (64, B, 1, 1),
        'conv2': (64, 64, 1, 1),
        'conv3': (64, 65, 3, 3),
        'conv4': (64, 64, 3, 3),
        'conv5': (64, 64, 3, 3),
        'conv6': (64, 64, 1, 1),
        'conv7': (B, 64, 1, 1),
    },
    HSpeNet: {
        'conv1_2': (16, 1, 3, 3),
        'conv2_2': (16, 16, 3, 3),
        'conv1_1': (64, B, 1, 1),
        'conv2_1': (64, 64, 1, 1),
        'conv3': (16, 80, 3, 3),
        'conv4': (16, 96, 3, 3),
        'conv5': (16, 112, 3, 3),
        'conv6': (16, 128, 3, 3),
        'conv7': (16, 144, 3, 3),
        'conv8': (B, 160, 1, 1),
    },
    HyperDSNet: {
        'block2.conv1': (16, 166, 3, 3),
        'block2.conv2': (16, 166, 5, 5),
        'block2.conv3': (16, 166, 7, 7),
        'block3.conv1': (32, 48, 3, 3),
        'block3.conv2': (16, 32, 3, 3),
        'block3.conv3': (8, 16, 3, 3),
        'block3.conv4': (8, 8, 3, 3),
        'CA.conv_du.0': (39, B, 1, 1),
        'CA.conv_du.2': (B, 39, 1, 1),
        'convlast': (B, 112, 1, 1),
    },
    DHPDARN: {
        'FEN': (64, 160, 3, 3),
        'RRN': (B, 64, 3, 3),
        **{
            f'CSA{i}.conv{j}': shape
            for i in range(1, 5)
            for j, shape in enumerate(
                [
                    (64, 64, 3, 3),
                    (64, 64, 3, 3),
                    (4, 64, 1, 1),
                    (64, 4, 1, 1),
                    (1, 64, 1, 1),
                ],
                start=1,
            )
        },
    },
    DIPHyperKite: {
        'encoder1': (32, 160, 3, 3),
        'encoder2': (64, 32, 3, 3),
        'encoder3': (128, 64, 3, 3),
        'endec_conv': (128, 128, 3, 3),
        'decoder1': (64, 256, 3, 3),
        'decoder2': (32, 128, 3, 3),
        'decoder3': (B, 64, 3, 3),
        'final_conv': (B, B, 1, 1),
    },
    RPNN: {'conv1': (48, 2, 7, 7), 'conv2': (32, 48, 5, 5), 'conv3': (1, 32, 3, 3)},
}

NORMS = {
    'ebn1': 32,
    'ebn2': 64,
    'ebn3': 128,
    'endec_bn': 128,
    'dbn1': 64,
    'dbn2': 32,
    'dbn3': B,
}

EDGES = (
    *('gaussian_filter', 'sobel_x', 'sobel_y', 'prewitt_x', 'prewitt_y'),
    *('roberts_x', 'roberts_y', 'laplacian'),
)

#: Parameters for 159 bands.
COUNTS = {
    HyperPNN: 140_255,
    HSpeNet: 123_199,
    HyperDSNet: 271_359,
    DHPDARN: 481_971,
    DIPHyperKite: 588_861,
    RPNN: 43_473,
}


@pytest.mark.parametrize('kind', SHAPES, ids=lambda kind: kind.__name__)
def test_tensors_have_the_published_names_and_shapes(kind: Any) -> None:
    expected = {}
    for name, shape in SHAPES[kind].items():
        expected |= {f'{name}.weight': shape, f'{name}.bias': shape[:1]}
    if kind is HyperDSNet:
        expected |= {f'block1.{name}.weight': (1, 1, 3, 3) for name in EDGES}
    if kind is DIPHyperKite:
        for name, width in NORMS.items():
            parts = ('weight', 'bias', 'running_mean', 'running_var')
            expected |= {f'{name}.{part}': (width,) for part in parts}
            expected[f'{name}.num_batches_tracked'] = ()
    state = kind(B).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == expected


@pytest.mark.parametrize('kind', COUNTS, ids=lambda kind: kind.__name__)
def test_number_of_parameters(kind: Any) -> None:
    model = kind(B)
    fixed = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert sum(p.numel() for p in model.parameters()) == COUNTS[kind]
    assert fixed == (72 if kind is HyperDSNet else 0)
    buffers = sum(b.numel() for b in model.buffers())
    assert buffers == (1221 if kind is DIPHyperKite else 0)
