# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Statistics of the training region alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from datamodules.simulated_enmap.regions import Make, clear, inside, kept_bands, stored

from torchgeo_hsi.datamodules import base


class TestStatistics:
    def test_are_of_valid_training_pixels(self, make: Make, root: Path) -> None:
        module = make()
        mean, std = module.normalization()
        cube = stored(root)[kept_bands(root)].astype(np.float64)
        pixels = cube[:, clear(root) & inside('train')]
        np.testing.assert_allclose(mean, pixels.mean(axis=1), rtol=1e-5)
        np.testing.assert_allclose(std, pixels.std(axis=1), rtol=1e-4)

    def test_of_the_publication_need_no_pixel(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: object) -> None:
            raise AssertionError('read the training data')

        monkeypatch.setattr(base, 'training_statistics', refuse)
        module = make(statistics='spectral_earth', bands=['B44', 'B1'])
        mean, std = module.normalization()
        assert mean.shape == std.shape == (2,)
        # position 0 of the published table
        torch.testing.assert_close(mean[1], torch.tensor(827.30597))
        with pytest.raises(AssertionError, match='read the training'):
            make().normalization()
