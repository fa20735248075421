# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Windows of pixels, their batches and statistics."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from datamodules.pixels.small import cut, module

from torchgeo_hsi.datamodules._pixel_windows import EvenBatches, PaddedScene
from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene


class TestWindows:
    @pytest.mark.parametrize('window', [1, 3, 7])
    def test_they_are_those_of_a_loop(self, scene: LabelledScene, window: int) -> None:
        data = module(scene, window=window)
        data.setup('test')
        rows, columns = data.pixel_split.pixels('test')
        seen = 0
        for batch in data.test_dataloader():
            for k in range(len(batch['label'])):
                row, column = int(rows[seen]), int(columns[seen])
                image, valid = cut(scene, row, column, window)
                assert np.array_equal(batch['image'][k], image)
                assert np.array_equal(batch['valid'][k], valid)
                assert batch['label'][k] == scene.labels[row, column]
                seen += 1
        assert seen == len(rows)
        assert batch['image'].dtype == torch.float32
        assert scene.bands is not None
        wavelength = torch.tensor(np.array(scene.bands.wavelength)).float()
        assert torch.equal(
            batch['wavelength'], wavelength.expand(len(batch['label']), -1)
        )

    def test_one_at_a_time(self, scene: LabelledScene) -> None:
        data = module(scene)
        windows = data.train_windows
        batch = windows[[3, 5]]
        for k, index in enumerate((3, 5)):
            one = windows[index]
            assert all(torch.equal(one[key], batch[key][k]) for key in batch)

    def test_moves_are_the_symmetries_of_the_square(self, scene: LabelledScene) -> None:
        padded = PaddedScene(scene, 2)
        places = torch.full((8,), 20), torch.full((8,), 30)
        found, valid = padded.windows(*places, torch.arange(8))
        first = found[0]
        want = [
            (part if plain else part.mT)
            for turns in range(4)
            for part in [first.rot90(turns, (1, 2))]
            for plain in (True, False)
        ]
        assert {tuple(x.flatten().tolist()) for x in found} == {
            tuple(x.flatten().tolist()) for x in want
        }
        # all are different, and the pixel stays in the middle
        assert len({tuple(x.flatten().tolist()) for x in found}) == 8
        assert torch.equal(found[:, :, 2, 2], first[:, 2, 2].expand(8, -1))
        # what is valid moves along
        corner = padded.windows(*(torch.full((8,), 5),) * 2, torch.arange(8))
        assert torch.equal((corner[0] != 0).any(1), corner[1])
        assert valid.all()

    @pytest.mark.parametrize(
        'dtype', ['uint8', 'uint16', 'int16', 'uint32', 'float32', 'float64']
    )
    def test_types(self, scene: LabelledScene, dtype: str) -> None:
        image = np.where(scene.valid, scene.image, 0) // 40
        other = dataclasses.replace(scene, image=image.astype(dtype))
        data = module(other)
        batch = data.train_windows[range(4)]
        rows, columns = data.pixel_split.pixels('train')
        for k in range(4):
            want, _ = cut(other, int(rows[k]), int(columns[k]), 5)
            assert np.array_equal(batch['image'][k], want)

    def test_nodata_may_be_nan(self, scene: LabelledScene) -> None:
        image = np.where(scene.valid, scene.image, np.nan).astype(np.float32)
        data = module(dataclasses.replace(scene, image=image))
        data.setup('fit')
        windows, _ = data.training_windows()
        assert windows.isfinite().all()
        assert data.mean.isfinite().all()


class TestBatches:
    def test_about_as_large(self) -> None:
        sizes = [len(batch) for batch in EvenBatches(33, 16)]
        assert sizes == [11, 11, 11]
        assert len(EvenBatches(33, 16)) == 3
        # never a single one, of which batch normalization makes nothing
        for count in range(2, 40):
            assert min(map(len, EvenBatches(count, 8))) >= 2

    def test_order(self) -> None:
        batches = EvenBatches(10, 4, shuffle=True, seed=3)
        first, second = ([i for part in batches for i in part] for _ in range(2))
        assert sorted(first) == sorted(second) == list(range(10))
        assert first != second
        again = EvenBatches(10, 4, shuffle=True, seed=3)
        assert [i for part in again for i in part] == first
        assert [i for part in EvenBatches(5, 2) for i in part] == list(range(5))

    def test_length(self) -> None:
        found = [i for part in EvenBatches(4, 3, 10, shuffle=True) for i in part]
        assert len(found) == 10
        counts = np.bincount(found)
        assert counts.min() >= 2
        assert counts.max() <= 3

    def test_moves(self) -> None:
        batches = EvenBatches(10, 4, length=4000, shuffle=True, moves=8)
        found = np.array([i for part in batches for i in part])
        assert np.allclose(np.bincount(found % 10), 400)
        assert np.allclose(np.bincount(found // 10), 500, atol=120)

    def test_the_global_seed_is_left_alone(self, scene: LabelledScene) -> None:
        data = module(scene)
        data.setup('fit')
        torch.manual_seed(0)
        want = torch.rand(1)
        torch.manual_seed(0)
        list(data.train_dataloader().sampler)
        assert torch.equal(torch.rand(1), want)


class TestStatistics:
    def test_pixels_of_training_windows_only(self, scene: LabelledScene) -> None:
        data = module(scene, shots=4)
        data.setup('fit')
        use = np.zeros(scene.labels.shape, dtype=bool)
        for row, column in zip(*data.pixel_split.pixels('train'), strict=True):
            use[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = True
        pixels = scene.image[:, use & scene.valid].astype(np.float64)
        np.testing.assert_allclose(data.mean, pixels.mean(1), rtol=1e-6)
        np.testing.assert_allclose(data.std, pixels.std(1), rtol=1e-5)
        # no pixel of a test window is among them
        assert not (use & data.pixel_split.mask('test')).any()
        # nor does what else lies there change anything
        image = np.where(use, scene.image, 9999).astype(np.int16)
        other = module(dataclasses.replace(scene, image=image), shots=4)
        other.setup('fit')
        assert torch.equal(other.mean, data.mean)
        assert torch.equal(other.training_windows()[0], data.training_windows()[0])
        assert data.mode == 'inductive'

    def test_whole_scene(self, scene: LabelledScene) -> None:
        data = module(scene, statistics='scene')
        data.setup('fit')
        pixels = scene.image[:, scene.valid].astype(np.float64)
        np.testing.assert_allclose(data.mean, pixels.mean(1), rtol=1e-6)
        assert data.mode == 'transductive'

    def test_training_samples(self, scene: LabelledScene) -> None:
        data = module(scene, shots=4)
        data.setup('fit')
        pixels = torch.cat(
            [s['image'][:, s['valid']] for s in data.training_samples()], dim=1
        )
        # each pixel once, and normalized
        assert pixels.shape[1] == data._seen().sum()
        assert pixels.mean(1).abs().max() < 1e-5
        assert (pixels.std(1, correction=0) - 1).abs().max() < 1e-5

    def test_windows_are_normalized(self, scene: LabelledScene) -> None:
        data = module(scene)
        data.setup('fit')
        windows, labels = data.training_windows()
        rows, columns = data.pixel_split.pixels('train')
        for k in (0, 7, -1):
            image, valid = cut(scene, int(rows[k]), int(columns[k]), 5)
            want = (image - data.mean.numpy()[:, None, None]) / data.std.numpy()[
                :, None, None
            ]
            np.testing.assert_allclose(windows[k], want * valid, atol=2e-5)
            assert labels[k] == scene.labels[rows[k], columns[k]]

    def test_constant_band(self, scene: LabelledScene) -> None:
        image = scene.image.copy()
        image[3] = 77
        data = module(dataclasses.replace(scene, image=image))
        data.setup('fit')
        windows, _ = data.training_windows()
        assert (windows[:, 3] == 0).all()
        assert windows.isfinite().all()

    def test_checkpoints_keep_them(self, scene: LabelledScene) -> None:
        data = module(scene)
        data.setup('fit')
        other = module(scene, seed=5)
        other.load_state_dict(data.state_dict())
        other.setup('fit')
        assert torch.equal(other.mean, data.mean)
        assert module(scene).state_dict() == {}


@pytest.mark.parametrize(
    ('words', 'text'),
    [
        ({'window': 4}, 'odd window.*Use 5'),
        ({'window': 9, 'tile_size': 16}, 'tile_size of more than 16'),
        ({'batch_size': 0}, 'positive batch_size'),
        ({'shots': 0}, 'positive shots or None'),
        ({'length': 0}, 'positive length or None'),
        ({'statistics': 'test'}, "'train' or 'scene'"),
    ],
)
def test_numbers(scene: LabelledScene, words: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        module(scene, **words)


def test_workers(scene: LabelledScene) -> None:
    alone, helped = (module(scene, num_workers=n) for n in (0, 1))
    for data in (alone, helped):
        data.setup('fit')
    for one, other in zip(
        alone.train_dataloader(), helped.train_dataloader(), strict=True
    ):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_figures(scene: LabelledScene) -> None:
    data = module(scene)
    data.setup('predict')
    sample = data.predict_dataset[0]  # type: ignore[index]
    sample['prediction'] = torch.zeros(sample['image'].shape[-2:], dtype=torch.long)
    assert data.plot(sample, 'tile').axes
    assert data.plot_split('split').axes
