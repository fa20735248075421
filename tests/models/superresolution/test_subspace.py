# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Super-resolution of eigen-images, for any number of bands."""

from pathlib import Path

import numpy as np
import pytest
import torch
from models.denoising.classical.painted_fields import gaussian, truth
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnknownNameError
from torchgeo_hsi.models import Bicubic, SubspaceSuperResolver, SuperResolver, get_model
from torchgeo_hsi.physics.resampling import imresize_down, imresize_up


class Probe(SuperResolver):
    """Interpolate, remember what comes in, and learn one filter."""

    def __init__(self, images: int = 6, scale: int = 2) -> None:
        super().__init__(scale)
        self.in_channels = images
        self.conv = nn.Conv2d(images, images, 3, padding=1, bias=False)
        nn.init.zeros_(self.conv.weight)

    def enlarge(self, image: Tensor) -> Tensor:
        self.seen = image
        up = imresize_up(image, self.scale)
        return up + self.conv(up)


@pytest.mark.parametrize('whiten', [True, False])
@pytest.mark.parametrize(('bands', 'rank'), [(40, 6), (40, 40), (5, 8), (3, 8), (1, 8)])
def test_interpolation_changes_nothing(bands: int, rank: int, whiten: bool) -> None:
    image = 5000 * gaussian(truth(bands, 24), 5.0)
    model = SubspaceSuperResolver(Bicubic(2), rank, whiten)
    for mode in (True, False):
        expected = imresize_up(image, 2)
        torch.testing.assert_close(
            model.train(mode)(image), expected, rtol=1e-5, atol=1e-2
        )


def test_images_are_normalized_and_uncorrelated() -> None:
    image = torch.cat([gaussian(truth(seed=seed), 5.0, seed) for seed in (0, 1)])
    SubspaceSuperResolver(probe := Probe()).eval()(image)
    spectra = probe.seen.flatten(2).double()
    assert spectra.mean(2).abs().max() < 1e-4
    found = spectra @ spectra.mT / spectra.shape[2]
    expected = torch.eye(6, dtype=torch.float64).expand(2, 6, 6)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize('whiten', [True, False])
def test_way_back_is_the_projection(whiten: bool) -> None:
    """With all dimensions, what a network adds to all images arrives in the bands."""
    image = gaussian(truth(12, 24), 5.0)
    probe = Probe(12)
    nn.init.dirac_(probe.conv.weight)
    model = SubspaceSuperResolver(probe, whiten=whiten).eval()
    up = imresize_up(image, 2)
    # twice the difference to the mean
    expected = 2 * up - image.mean((2, 3), keepdim=True)
    torch.testing.assert_close(model(image), expected, rtol=0, atol=1e-4)


def test_images_are_principal_components() -> None:
    """Without whitening, the images are those of principal component analysis."""
    image = gaussian(truth(20, 32), 5.0)
    SubspaceSuperResolver(probe := Probe(3), whiten=False).eval()(image)
    spectra = (image[0].flatten(1) - image[0].flatten(1).mean(1, keepdim=True)).numpy()
    _, _, right = np.linalg.svd(spectra.astype('float64'), full_matrices=False)
    found = probe.seen[0].flatten(1).double().numpy()
    cosine = np.abs((found * right[:3]).sum(1)) / np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(cosine, 1, atol=1e-5)


def test_signs_in_training() -> None:
    torch.manual_seed(0)
    image = gaussian(truth(20, 24), 5.0).expand(16, -1, -1, -1)
    model = SubspaceSuperResolver(probe := Probe(4))
    with torch.no_grad():
        probe.conv.weight.normal_(0, 0.1)
    trained = model(image)
    signs = (probe.seen / probe.seen[:1]).mean((2, 3))
    torch.testing.assert_close(signs.abs(), torch.ones(16, 4))
    assert 16 < (signs > 0).sum() < 48
    assert not torch.allclose(trained[0], trained[-1])
    # of one scene in one way
    first = model.eval()(image)
    torch.testing.assert_close(first, model(image))


def test_gradient_reaches_the_network_and_it_learns() -> None:
    torch.manual_seed(0)
    clean = truth(20, 48)
    coarse = imresize_down(clean, 2)
    model = SubspaceSuperResolver(Probe(4))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        loss = (model(coarse) - clean).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    bicubic = (imresize_up(coarse, 2) - clean).square().mean()
    assert losses[0] == pytest.approx(float(bicubic), rel=1e-3)


def test_tiles_share_the_subspace_of_the_scene() -> None:
    image = gaussian(truth(), 5.0)
    model = SubspaceSuperResolver(probe := Probe()).eval()
    model(image)
    whole = probe.seen
    assert model.needs_scene
    model.observe(image[..., :20])
    model.observe(image[..., 20:])
    model.settle()
    assert model.is_settled
    model(image[..., 10:30, 8:])
    torch.testing.assert_close(probe.seen, whole[..., 10:30, 8:], atol=1e-3, rtol=1e-3)
    with pytest.raises(BandMismatchError, match='scene of 40 bands'):
        model(image[:, :9])
    model.forget()
    model(image[:, :9])


def test_gaps_do_not_count() -> None:
    image = gaussian(truth(20, 24), 5.0)
    valid = torch.ones(1, 24, 24, dtype=torch.bool)
    valid[0, 3:6, 4:9] = False
    other = image.clone()
    other[0, :, 3:6, 4:9] = -9999.0
    model = SubspaceSuperResolver(probe := Probe()).eval()
    with torch.no_grad():
        probe.conv.weight.normal_(0, 0.1)
    torch.testing.assert_close(model(image, valid), model(other, valid))
    with pytest.raises(EmptyDataError, match='no valid pixel'):
        model(image, torch.zeros_like(valid))


def test_ensemble_is_the_mean_over_all_positions() -> None:
    image = gaussian(truth(20, 24), 5.0)
    probe = Probe(4)
    with torch.no_grad():
        probe.conv.weight.normal_(0, 0.1)
    model = SubspaceSuperResolver(probe, ensemble=True).eval()
    weight = probe.conv.weight.data
    result = model(image)
    # a linear filter in eight positions is the mean of eight filters
    turned = [torch.rot90(weight, k, (2, 3)) for k in range(4)]
    turned += [x.flip(3) for x in turned]
    probe.conv.weight.data = torch.stack(turned).mean(0)
    model.ensemble = False
    torch.testing.assert_close(result, model(image), rtol=1e-4, atol=1e-5)


def test_half_precision_around_it() -> None:
    """Mixed precision does not reach the subspace, where numbers are large."""
    image = 1000 + gaussian(truth(20, 24), 5.0)
    model = SubspaceSuperResolver(Probe(4)).eval()
    expected = model(image)
    with torch.autocast('cpu', torch.bfloat16):
        found = model(image)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


def test_network_in_another_precision() -> None:
    """The network gets eigen-images in its own precision, the rest keeps its digits."""
    image = gaussian(truth(20, 24), 5.0)
    model = SubspaceSuperResolver(probe := Probe(4)).eval().to('cpu', torch.bfloat16)
    found = model(image)
    assert probe.seen.dtype == torch.bfloat16
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, imresize_up(image, 2), rtol=0, atol=0.02)
    model.double()
    torch.testing.assert_close(model(image), imresize_up(image, 2))


def test_double_precision_and_flat_images() -> None:
    model = SubspaceSuperResolver(Probe(4)).eval()
    assert model(torch.rand(1, 9, 8, 8, dtype=torch.float64)).dtype == torch.float64
    for value in (0.0, 0.3):
        flat = torch.full((2, 9, 8, 8), value)
        torch.testing.assert_close(model(flat), torch.full((2, 9, 16, 16), value))


@pytest.mark.parametrize('network', ['essaformer', 'deepshare'])
def test_checkpoint_of_a_training_is_found_in_its_wrappers(
    tmp_path: Path, network: str
) -> None:
    torch.manual_seed(0)
    words = {'network': network, 'rank': 8, 'dim': 16, 'scale': 2}
    trained = get_model('subspace_superresolution', **words).eval()
    state = {f'model.{key}': value for key, value in trained.state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'last.ckpt')
    words['weights'] = tmp_path / 'last.ckpt'
    model = get_model('subspace_superresolution', **words).eval()
    image = gaussian(truth(20, 12), 5.0)
    with torch.no_grad():
        torch.testing.assert_close(model(image), trained(image))
    assert model.network.in_channels == 8


def test_what_cannot_be_built() -> None:
    with pytest.raises(BandMismatchError, match='in_channels=5'):
        SubspaceSuperResolver(Probe(6), rank=5)
    with pytest.raises(ValueError, match='at least 1'):
        SubspaceSuperResolver(Bicubic(2), rank=0)
    inside = SubspaceSuperResolver(Bicubic(2), rank=4)
    with pytest.raises(ValueError, match='looks at whole scenes'):
        SubspaceSuperResolver(inside, rank=4)
    with pytest.raises(UnknownNameError, match='bicubic'):
        get_model('subspace_superresolution', network='bicubik')
    with pytest.raises(ValueError, match='bicubic has no weights'):
        get_model('subspace_superresolution', network='bicubic', weights='x.pth')
    with pytest.raises(ValueError, match='got a module'):
        get_model('subspace_superresolution', network=Bicubic(2), weights='x.pth')
