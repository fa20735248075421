# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noise of one kind, of a choice, and its options."""

import copy
import math
import pickle

import pytest
import torch
from jsonargparse import ArgumentParser
from transforms.noisy import TRANSFORMS, sample, seed

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnitError
from torchgeo_hsi.transforms import (
    BandGaussianNoise,
    CorrelatedNoise,
    DeadlineNoise,
    GaussianNoise,
    ImpulseNoise,
    MixtureNoise,
    NoiseChoice,
    NoiseSequence,
    NoiseTransform,
    PoissonNoise,
    PushbroomStriping,
    SensorNoise,
    StripeNoise,
)


@pytest.mark.parametrize('name', TRANSFORMS)
class TestAll:
    @pytest.mark.parametrize('batch', [(), (3,)])
    def test_pair(self, name: str, batch: tuple[int, ...]) -> None:
        given = {**sample(*batch), 'mask': torch.ones(*batch, 24, 30)}
        before = given['image'].clone()
        pair = TRANSFORMS[name](generator=seed())(given)
        assert torch.equal(pair['target'], before)
        assert torch.equal(given['image'], before)
        assert set(given) == {'image', 'valid', 'mask'}
        assert pair['image'].shape == before.shape
        assert not torch.equal(pair['image'], before)
        assert pair['sigma'].shape == (*batch, 12)
        assert pair['sigma'].dtype == torch.float32
        assert pair['mask'] is given['mask']

    def test_image_alone(self, name: str) -> None:
        for given in (sample(), sample(2)):
            pair = TRANSFORMS[name](generator=seed())(given)
            image = TRANSFORMS[name](generator=seed()).noisy_image(given)
            assert torch.equal(image, pair['image'])

    def test_target_that_is_there_stays(self, name: str) -> None:
        target = torch.zeros(12, 24, 30)
        pair = TRANSFORMS[name]()({**sample(), 'target': target})
        assert pair['target'] is target

    def test_invalid_pixels_keep_their_numbers(self, name: str) -> None:
        given = sample(2)
        given['image'][~given['valid'].unsqueeze(1).expand(-1, 12, -1, -1)] = math.nan
        given['image'][:, :, 0, 0] = -32768
        pair = TRANSFORMS[name](generator=seed(), clip=True)(given)
        there = given['image'][..., :5, :]
        assert torch.equal(pair['image'][..., :5, :].isnan(), there.isnan())
        assert (pair['image'][:, :, 0, 0] == -32768).all()
        assert not pair['image'][..., 5:, :].isnan().any()
        assert not pair['sigma'].isnan().any()

    def test_numbers_of_invalid_pixels_do_not_matter(self, name: str) -> None:
        given = sample(2)
        other = {**given, 'image': given['image'].clone()}
        other['image'][..., :5, :] = 30.0
        one, two = (TRANSFORMS[name](generator=seed())(x) for x in (given, other))
        assert torch.equal(one['image'][..., 5:, :], two['image'][..., 5:, :])
        assert torch.equal(one['sigma'], two['sigma'])

    def test_images_of_a_batch_draw_their_own(self, name: str) -> None:
        image = torch.rand(1, 12, 24, 30, generator=seed()).expand(2, -1, -1, -1)
        one, other = TRANSFORMS[name](generator=seed())({'image': image})['image']
        assert not torch.equal(one, other)

    def test_one_image_is_a_batch_of_one(self, name: str) -> None:
        one = TRANSFORMS[name](generator=seed(5))(sample())
        batch = TRANSFORMS[name](generator=seed(5))(sample(1))
        assert torch.equal(one['image'], batch['image'][0])
        assert torch.equal(one['sigma'], batch['sigma'][0])

    def test_clip(self, name: str) -> None:
        kept = TRANSFORMS[name](generator=seed())(sample())['image'][..., 5:, :]
        clipped = TRANSFORMS[name](generator=seed(), clip=True)(sample())['image']
        if name != 'impulse':
            assert kept.min() < 0 or kept.max() > 1
        assert torch.equal(clipped[..., 5:, :], kept.clamp(0, 1))

    def test_peak(self, name: str) -> None:
        # any scale of the data gives the same picture
        small = TRANSFORMS[name](generator=seed())(sample())
        given = sample()
        large = TRANSFORMS[name](generator=seed(), peak=1e4, clip=False)(
            {**given, 'image': 1e4 * given['image']}
        )
        rounding = 0.006 if name == 'poisson' else 1e-5
        assert torch.allclose(large['image'] / 1e4, small['image'], atol=rounding)
        assert torch.allclose(large['sigma'], small['sigma'], rtol=1e-4)

    def test_generator_decides(self, name: str) -> None:
        state = torch.random.get_rng_state()
        one, two, other = (
            TRANSFORMS[name](generator=seed(n))(sample())['image'] for n in (1, 1, 2)
        )
        assert torch.equal(one, two)
        assert not torch.equal(one, other)
        assert torch.equal(state, torch.random.get_rng_state())

    def test_reseed(self, name: str) -> None:
        noise = TRANSFORMS[name]()
        results = []
        for number in (4, 5, 4):
            noise.reseed(number)
            results.append(noise(sample())['image'])
        assert torch.equal(results[0], results[2])
        assert not torch.equal(results[0], results[1])

    def test_copies(self, name: str) -> None:
        noise = TRANSFORMS[name](generator=seed())
        want = copy.deepcopy(noise)(sample())['image']
        assert torch.equal(pickle.loads(pickle.dumps(noise))(sample())['image'], want)
        assert torch.equal(noise(sample())['image'], want)

    @pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
    def test_type(self, name: str, dtype: torch.dtype) -> None:
        given = sample()
        given['image'] = given['image'].to(dtype)
        pair = TRANSFORMS[name]()(given)
        assert pair['image'].dtype == pair['target'].dtype == dtype

    def test_integers(self, name: str) -> None:
        image = torch.randint(0, 20, (12, 24, 30), generator=seed()).to(torch.int16)
        pair = TRANSFORMS[name](peak=20.0)({'image': image})
        assert pair['image'].dtype == pair['target'].dtype == torch.float32
        assert torch.equal(pair['target'], image.float())

    def test_one_band_and_one_pixel(self, name: str) -> None:
        pair = TRANSFORMS[name]()({'image': torch.rand(1, 1, 1)})
        assert pair['image'].isfinite().all()

    def test_no_valid_pixel(self, name: str) -> None:
        given = {**sample(), 'valid': torch.zeros(24, 30, dtype=torch.bool)}
        pair = TRANSFORMS[name]()(given)
        assert torch.equal(pair['image'], given['image'])
        assert pair['sigma'].isfinite().all()

    def test_empty_batch(self, name: str) -> None:
        pair = TRANSFORMS[name]()({'image': torch.zeros(0, 12, 4, 5)})
        assert pair['image'].shape == pair['target'].shape == (0, 12, 4, 5)
        assert pair['sigma'].shape == (0, 12)

    def test_masks_of_numbers(self, name: str) -> None:
        given = sample(2)
        want = TRANSFORMS[name](generator=seed())(given)
        mask = {**given, 'valid': given['valid'].to(torch.uint8)}
        pair = TRANSFORMS[name](generator=seed())(mask)
        assert torch.equal(pair['image'], want['image'])
        assert torch.equal(pair['sigma'], want['sigma'])
        assert pair['valid'] is mask['valid']

    def test_numbers_that_are_none(self, name: str) -> None:
        # of a dataset that does not say what is valid
        image = torch.rand(2, 12, 24, 30, generator=seed())
        image[0, :, 3, 4] = torch.nan
        pair = TRANSFORMS[name](generator=seed())({'image': image})
        assert pair['sigma'].isfinite().all()
        assert pair['image'][1].isfinite().all()

    def test_wrong_shapes(self, name: str) -> None:
        noise = TRANSFORMS[name]()
        with pytest.raises(BandMismatchError, match='Expected an image of shape'):
            noise({'image': torch.zeros(24, 30)})
        with pytest.raises(BandMismatchError, match='Expected valid of shape'):
            noise({**sample(2), 'valid': torch.ones(24, 30, dtype=torch.bool)})

    def test_bad_peak(self, name: str) -> None:
        with pytest.raises(UnitError, match='Expected a positive peak, got 0'):
            TRANSFORMS[name](peak=0.0)


class TestSigma:
    def test_range(self) -> None:
        noise = GaussianNoise((10.0, 70.0), generator=seed())
        pair = noise({'image': torch.zeros(200, 3, 40, 40)})
        sigma = pair['sigma']
        assert torch.equal(sigma, sigma[:, :1].expand(-1, 3))
        assert sigma.min() > 10
        assert sigma.max() < 70
        assert torch.allclose(255 * pair['image'].std((2, 3)), sigma, rtol=0.1)

    def test_levels_in_turn(self) -> None:
        noise = GaussianNoise([10.0, 30.0, 50.0, 70.0], cyclic=True)
        batch = {'image': torch.zeros(3, 1, 2, 2)}
        got = [s for _ in range(2) for s in noise(batch)['sigma'].flatten().tolist()]
        assert got == [10, 30, 50, 70, 10, 30]
        noise.reseed(6)
        assert noise(batch)['sigma'].flatten().tolist() == [50, 70, 10]

    def test_adds_up(self) -> None:
        noise = NoiseSequence([GaussianNoise(30.0), GaussianNoise(40.0), StripeNoise()])
        pair = noise(sample())
        assert pair['sigma'].tolist() == pytest.approx([50.0] * 12)
        again = GaussianNoise(120.0)(pair)
        assert again['sigma'].tolist() == pytest.approx([130.0] * 12)
        assert torch.equal(again['target'], sample()['image'])

    def test_of_shot_noise_is_that_of_valid_pixels(self) -> None:
        image = torch.full((2, 2, 60, 60), 0.5)
        image[..., :20] = 0.1
        valid = torch.ones(2, 60, 60, dtype=torch.bool)
        valid[1, :, :20] = False
        noise = PoissonNoise(400.0, 10.0, generator=seed())
        pair = noise({'image': image, 'valid': valid})
        residual = pair['image'] - image
        for k, mask in enumerate(valid):
            got = 255 * residual[k][:, mask].std(1)
            assert torch.allclose(got, pair['sigma'][k], rtol=0.06)
        assert pair['sigma'][0, 0] < pair['sigma'][1, 0] - 1

    def test_chosen_for_each_image(self) -> None:
        noises = [GaussianNoise(20.0), StripeNoise(), PoissonNoise(100.0)]
        noise = NoiseChoice(noises, cyclic=True, generator=seed())
        pair = noise({'image': torch.full((6, 3, 50, 50), 0.25)})
        assert pair['sigma'][:, 0].tolist() == pytest.approx([20, 0, 12.75] * 2)
        residual = 255 * (pair['image'] - 0.25)[[0, 2, 3, 5]].std((1, 2, 3))
        assert residual.tolist() == pytest.approx([20, 12.75] * 2, rel=0.05)

    def test_single_number_of_earlier_noise(self) -> None:
        pair = GaussianNoise(30.0)({**sample(2), 'sigma': torch.tensor(40.0)})
        assert pair['sigma'].tolist() == [[50.0] * 12] * 2

    @pytest.mark.parametrize('bands', [2, 12])
    def test_one_number_for_each_image(self, bands: int) -> None:
        # as the task understands it, also where there are as many bands as images
        given = {'image': torch.rand(2, bands, 8, 8), 'sigma': torch.tensor([0, 40.0])}
        pair = GaussianNoise(30.0)(given)
        assert pair['sigma'].tolist() == [[30.0] * bands, [50.0] * bands]

    @pytest.mark.parametrize('batch', [(), (2,)])
    def test_one_number_for_each_value(self, batch: tuple[int, ...]) -> None:
        level = torch.full((*batch, 12, 24, 30), 40.0)
        # what is not valid counts nowhere
        level[..., :5, :] = torch.nan
        pair = GaussianNoise(30.0)({**sample(*batch), 'sigma': level})
        torch.testing.assert_close(pair['sigma'], torch.full((*batch, 12), 50.0))

    def test_numbers_that_do_not_fit(self) -> None:
        given = {**sample(2), 'sigma': torch.ones(12)}
        with pytest.raises(BandMismatchError, match=r'\(B,\), \(B, C\).*got \(12,\)'):
            GaussianNoise()(given)
        with pytest.raises(BandMismatchError, match=r'\(C,\) or that of the image'):
            GaussianNoise()({**sample(), 'sigma': torch.ones(5)})


class TestChoice:
    def test_random_choice_is_even(self) -> None:
        noises = [GaussianNoise(k) for k in (10.0, 20.0, 30.0, 40.0)]
        noise = NoiseChoice(noises, generator=seed())
        pair = noise({'image': torch.zeros(2000, 1, 1, 1)})
        counts = torch.bincount((pair['sigma'].flatten() / 10).round().long())[1:]
        # 5 standard deviations of a binomial number
        assert (counts - 500).abs().max() < 5 * math.sqrt(2000 * 3 / 16)

    def test_turns_go_on(self) -> None:
        noise = NoiseChoice([GaussianNoise(10.0), GaussianNoise(50.0)], cyclic=True)
        got = [noise(sample())['sigma'][0].item() for _ in range(3)]
        assert got == [10, 50, 10]

    def test_seeds_go_through_all(self) -> None:
        noise = NoiseChoice([GaussianNoise(k) for k in (10.0, 20.0, 30.0)], cyclic=True)
        got = []
        for number in (7, 8, 9):
            noise.reseed(number)
            got.append(noise(sample())['sigma'][0].item())
        assert got == [20, 30, 10]

    def test_one_generator_for_all(self) -> None:
        parts = [GaussianNoise(10.0), NoiseSequence([GaussianNoise(20.0)])]
        noise = NoiseChoice(parts, generator=seed())
        inner = [m for m in noise.modules() if isinstance(m, NoiseTransform)]
        assert len(inner) == 4
        assert all(m.generator is noise.generator for m in inner)

    @pytest.mark.parametrize('cls', [NoiseChoice, NoiseSequence])
    def test_bad(self, cls: type[NoiseTransform]) -> None:
        with pytest.raises(EmptyDataError, match='at least one noise'):
            cls([])
        with pytest.raises(UnitError, match=r'same peak, got \[1\.0, 10000\.0\]'):
            cls([GaussianNoise(), GaussianNoise(peak=1e4)])

    @pytest.mark.parametrize('cls', [NoiseChoice, NoiseSequence])
    def test_parts_clip_for_themselves(self, cls: type[NoiseTransform]) -> None:
        noisy = cls([GaussianNoise(200.0, clip=True)])(sample())['image']
        assert noisy.min() == 0
        assert noisy.max() == 1


BAD = [
    (lambda: GaussianNoise(-1.0), 'sigma to be a number'),
    (lambda: GaussianNoise((70.0, 10.0)), 'sigma to be a number'),
    (lambda: GaussianNoise(30.0, cyclic=True), 'list of levels to go through'),
    (lambda: BandGaussianNoise([]), 'sigma to be a number'),
    (lambda: CorrelatedNoise(eta=0.0), 'eta above 0'),
    (lambda: CorrelatedNoise(eta=math.nan), 'eta above 0'),
    (lambda: CorrelatedNoise(beta=math.nan), 'finite beta'),
    (lambda: CorrelatedNoise(beta=math.inf), 'finite beta'),
    (lambda: StripeNoise(1.5), 'share of the bands'),
    (lambda: StripeNoise(columns=(0.5, 0.1)), 'shares of the columns'),
    (lambda: StripeNoise(strength=-1.0), 'strength of at least 0'),
    (lambda: DeadlineNoise(-0.1), 'share of the bands'),
    (lambda: DeadlineNoise(columns=(0.5, 2.0)), 'shares of the columns'),
    (lambda: DeadlineNoise(value=math.nan), 'finite value of dead pixels'),
    (lambda: ImpulseNoise(amounts=[2.0]), 'shares of the pixels'),
    (lambda: ImpulseNoise(2.0), 'share of the bands'),
    (lambda: MixtureNoise(bands=0.5), 'at most 1 / 3'),
    (lambda: MixtureNoise(sigma=-1.0), 'sigma to be a number'),
    (lambda: MixtureNoise(amounts=[]), 'shares of the pixels'),
    (lambda: PoissonNoise(0.0), 'positive number of photons'),
    (lambda: PoissonNoise((0.0, 10.0)), 'positive number of photons'),
    (lambda: PoissonNoise(10.0, -1.0), 'positive number of photons'),
    (lambda: PoissonNoise(10.0, math.nan), 'positive number of photons'),
    (lambda: SensorNoise(reflectance=math.inf), 'reflectance of 1, got inf'),
    (lambda: SensorNoise(level=-1.0), 'level to be a number'),
    (lambda: PushbroomStriping(gain=-1.0), 'gain to be a number'),
    (lambda: PushbroomStriping(dead=[0.1, 2.0]), 'shares up to 1'),
    (lambda: PushbroomStriping(common=2.0), 'shares up to 1'),
    (lambda: PushbroomStriping(angle=(20.0, 10.0)), 'angles between'),
    (lambda: PushbroomStriping(angle=90.0), 'angles between'),
    (lambda: SensorNoise(angle=(20.0, 10.0)), 'angles between'),
]


@pytest.mark.parametrize(('make', 'message'), BAD)
def test_bad_options(make: object, message: str) -> None:
    with pytest.raises(UnitError, match=message):
        make()


def test_range_and_levels_in_a_config() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument('--noise', type=NoiseTransform)
    for text, want in (('[10, 70]', (10.0, 70.0)), ('[1, 2, 3]', [1.0, 2.0, 3.0])):
        options = f'{{class_path: {GaussianNoise.__module__}.GaussianNoise, '
        options += f'init_args: {{sigma: {text}}}}}'
        parsed = parser.parse_args([f'--noise={options}'])
        # renamed in jsonargparse 4.49
        new = hasattr(parser, 'instantiate')
        made = (parser.instantiate if new else parser.instantiate_classes)(parsed)
        assert made.noise.sigma == want
