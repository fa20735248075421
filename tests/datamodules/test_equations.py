# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Functions of equations: which come when, and what they are compared with."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DistributedSampler

from torchgeo_hsi.datamodules import EquationDataModule
from torchgeo_hsi.datamodules._reference_solutions import (
    load_or_solve,
    same_equation,
    solve_in_parts,
)
from torchgeo_hsi.errors import (
    BandMismatchError,
    HSIWarning,
    MetadataError,
    OutputError,
    UnknownNameError,
)
from torchgeo_hsi.physics.equations import PeriodicPoisson, ReactionDiffusion

SMALL: dict[str, Any] = {
    'batch_size': 3,
    'steps_per_epoch': 4,
    'test_size': 5,
    'val_size': 2,
    'resolution': 12,
}


def module(**words: Any) -> EquationDataModule:
    options = SMALL | {'equation': 'periodic_poisson'} | words
    if isinstance(options['equation'], str):
        options.setdefault('equation_options', {'modes': [7, 7]})
    return EquationDataModule(**options)


def trained_on(data: EquationDataModule, epochs: int = 1) -> list[Tensor]:
    data.setup('fit')
    loader = data.train_dataloader()
    return [batch['parameter'] for _ in range(epochs) for batch in loader]


def distinct(functions: Tensor) -> int:
    """Count functions that are not the same."""
    return len({tuple(row) for row in functions.flatten(1).tolist()})


def with_trainer(data: EquationDataModule, **words: Any) -> EquationDataModule:
    known: dict[str, Any] = {
        'global_rank': 0,
        'current_epoch': 0,
        'lightning_module': None,
    }
    data.trainer = cast(Any, SimpleNamespace(**(known | words)))
    return data


class TestTraining:
    def test_every_step_has_new_functions(self) -> None:
        found = torch.cat(trained_on(module(), epochs=2))
        assert found.shape == (24, 1, 7, 7)
        assert found.dtype == torch.float32
        assert distinct(found) == 24

    def test_seed_repeats(self) -> None:
        first, again = (torch.cat(trained_on(module(seed=3))) for _ in range(2))
        assert torch.equal(first, again)
        assert not torch.equal(first, torch.cat(trained_on(module(seed=4))))

    def test_processes_differ(self) -> None:
        ranks = [with_trainer(module(), global_rank=rank) for rank in (0, 1)]
        first, second = (torch.cat(trained_on(data)) for data in ranks)
        # or Lightning would put in one of its own, which leaves out steps
        loader = ranks[0].train_dataloader()
        assert isinstance(loader.sampler, DistributedSampler)
        assert distinct(torch.cat([first, second])) == 24

    def test_workers_change_nothing(self) -> None:
        alone = torch.cat(trained_on(module(), epochs=2))
        assert torch.equal(alone, torch.cat(trained_on(module(num_workers=2), 2)))

    def test_loaders_made_again_go_on(self) -> None:
        data = module()
        first = torch.cat(trained_on(data))
        with_trainer(data, current_epoch=1)
        later = torch.cat([batch['parameter'] for batch in data.train_dataloader()])
        assert distinct(torch.cat([first, later])) == 24

    def test_functions_are_those_of_the_equation(self) -> None:
        data = module(batch_size=200, steps_per_epoch=1)
        values = PeriodicPoisson((7, 7)).to_values(trained_on(data)[0][:, 0])
        # no mean, and about the variance that seven of sixteen waves hold
        assert float(values.mean((1, 2)).abs().max()) < 1e-6
        assert 0.5 < float(values.var()) < 1

    def test_global_seed_is_left_alone(self) -> None:
        state = torch.get_rng_state()
        data = module()
        trained_on(data)
        list(data.val_dataloader())
        assert torch.equal(state, torch.get_rng_state())


class TestSolutions:
    def test_solve_the_equation(self) -> None:
        data = module()
        data.setup('test')
        (batch,) = list(module_loader(data, 'test', 5))
        assert batch['solution'].shape == (5, 12, 12)
        # values of the source at points, and its waves divided by their frequencies
        points = [torch.arange(12) / 12] * 2
        source = PeriodicPoisson((7, 7)).to_grid(batch['parameter'], points)[:, 0]
        k = 2 * np.pi * np.fft.fftfreq(12, 1 / 12)
        square = k[:, None] ** 2 + k**2
        square[0, 0] = np.inf
        solution = np.fft.ifft2(np.fft.fft2(source.numpy()) / square).real
        solution -= solution[:, :1, :1]
        assert np.abs(batch['solution'].numpy() - solution).max() < 1e-5

    def test_are_fixed_and_not_those_of_validation(self) -> None:
        first, again = module(), module()
        for data in (first, again):
            data.setup('test')
            data.setup('validate')
        test = [next(iter(data.test_dataloader())) for data in (first, again)]
        val = next(iter(first.val_dataloader()))
        for key in ('parameter', 'solution'):
            assert torch.equal(test[0][key], test[1][key])
        assert not torch.equal(test[0]['parameter'][:2], val['parameter'])

    def test_to_learn_from(self) -> None:
        data = module(train_solutions=8, train_resolution=10)
        data.setup('fit')
        batches = list(data.train_dataloader())
        assert {tuple(b['solution'].shape) for b in batches} == {(3, 10, 10)}
        every = torch.cat([b['parameter'] for b in batches])
        assert 3 < distinct(every) <= 8
        equation = PeriodicPoisson((7, 7))
        for batch in batches:
            assert distinct(batch['parameter']) == 3
            expected = equation.solve(batch['parameter'].double(), 10)
            assert torch.allclose(batch['solution'].double(), expected, atol=1e-6)

    def test_other_resolution_of_time(self) -> None:
        data = module(
            equation='reaction_diffusion',
            equation_options={'modes': [6, 9]},
            resolution=[5, 12],
        )
        data.setup('predict')
        batch = next(iter(data.predict_dataloader()))
        assert batch['solution'].shape == (3, 5, 12)
        start = batch['solution'][:, 0].numpy()
        x = torch.arange(12) / 12
        given = ReactionDiffusion((6, 9)).to_grid(
            batch['parameter'], [torch.zeros(1), x]
        )
        assert np.abs(start - given[:, 0, 0].numpy()).max() < 1e-5

    def test_parts_are_the_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        equation = PeriodicPoisson((5, 5))
        parameter = equation.sample(5, torch.Generator().manual_seed(0))
        whole = solve_in_parts(equation, parameter, 8)
        monkeypatch.setattr('torchgeo_hsi.datamodules._reference_solutions._CHUNK', 130)
        assert torch.allclose(whole, solve_in_parts(equation, parameter, 8), atol=1e-7)

    def test_no_validation(self) -> None:
        data = module(val_size=0)
        data.setup('fit')
        assert data.val_dataloader() == []


def module_loader(data: EquationDataModule, stage: str, size: int) -> Any:
    data.batch_size = size
    return getattr(data, f'{stage}_dataloader')()


class TestCache:
    @pytest.fixture
    def known(self, tmp_path: Path) -> tuple[PeriodicPoisson, Tensor, Tensor]:
        equation = PeriodicPoisson((5, 5))
        parameter = equation.sample(3, torch.Generator().manual_seed(0))
        return equation, parameter, load_or_solve(equation, parameter, 8, tmp_path)

    def test_is_read(
        self, known: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        equation, parameter, solution = known
        (path,) = tmp_path.iterdir()
        assert path.name.startswith('periodic_poisson_8x8_')
        monkeypatch.setattr(equation, 'solve', None)
        monkeypatch.delattr(equation, 'solve')
        monkeypatch.setattr(PeriodicPoisson, 'solve', None)
        assert torch.equal(load_or_solve(equation, parameter, 8, tmp_path), solution)

    @pytest.mark.parametrize('content', [b'', b'damaged', 'half', 'list', 'other'])
    def test_damaged_is_solved_again(
        self, known: Any, tmp_path: Path, content: Any
    ) -> None:
        equation, parameter, solution = known
        (path,) = tmp_path.iterdir()
        if content == 'half':
            content = path.read_bytes()[: path.stat().st_size // 2]
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content == 'list':
            torch.save([solution], path)
        else:
            torch.save({'parameter': parameter + 1, 'solution': solution}, path)
        with pytest.warns(HSIWarning, match='cannot be used'):
            found = load_or_solve(equation, parameter, 8, tmp_path)
        assert torch.equal(found, solution)
        # mended: no warning any more, which would be an error
        assert torch.equal(load_or_solve(equation, parameter, 8, tmp_path), solution)

    def test_no_code_is_run(self, known: Any, tmp_path: Path) -> None:
        equation, parameter, solution = known
        (path,) = tmp_path.iterdir()
        torch.save({'parameter': parameter, 'solution': nn.Linear(1, 1)}, path)
        with pytest.warns(HSIWarning, match='cannot be used'):
            found = load_or_solve(equation, parameter, 8, tmp_path)
        assert torch.equal(found, solution)

    def test_other_options_have_other_files(self, tmp_path: Path) -> None:
        words: dict[str, Any] = {
            'equation': 'reaction_diffusion',
            'cache': str(tmp_path),
        }
        for options in ({'diffusion': 0.01}, {'diffusion': 0.1}, {'rate': 1.0}):
            shape = {'modes': [6, 9]}
            module(equation_options=shape | options, **words).setup('test')
        module(equation_options={'modes': [6, 9]}, seed=1, **words).setup('test')
        assert len(list(tmp_path.iterdir())) == 4
        # the default of diffusion is that of the first
        module(equation_options={'modes': [6, 9]}, **words).setup('test')
        assert len(list(tmp_path.iterdir())) == 4

    def test_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / 'file').write_text('')
        data = module(cache=str(tmp_path / 'file'))
        with pytest.raises(OutputError, match='choose another cache'):
            data.setup('test')


class TestEquation:
    def test_that_of_the_task(self) -> None:
        data = module(equation=None)
        task = SimpleNamespace(equation=PeriodicPoisson((5, 5)))
        with_trainer(data, lightning_module=task)
        assert data.equation is task.equation
        assert trained_on(data)[0].shape == (3, 1, 5, 5)

    def test_none(self) -> None:
        with pytest.raises(MetadataError, match='There is no equation'):
            module(equation=None).setup('fit')

    def test_two_that_agree(self) -> None:
        data = module()
        task = SimpleNamespace(equation=PeriodicPoisson((7, 7)))
        with_trainer(data, lightning_module=task).setup('fit')

    @pytest.mark.parametrize(
        'other', [PeriodicPoisson((5, 5)), ReactionDiffusion((7, 7))]
    )
    def test_two_that_differ(self, other: Any) -> None:
        data = module()
        with_trainer(data, lightning_module=SimpleNamespace(equation=other))
        with pytest.raises(MetadataError, match='Leave equation'):
            data.setup('fit')

    def test_same(self) -> None:
        assert same_equation(ReactionDiffusion(), ReactionDiffusion(diffusion=0.01))
        assert not same_equation(ReactionDiffusion(), ReactionDiffusion(rate=4.0))

    @pytest.mark.parametrize('kind', [np.array, torch.tensor])
    def test_same_arrays(self, kind: Any) -> None:
        equations = [PeriodicPoisson((5, 5)) for _ in range(3)]
        for equation, last in zip(equations, (2.0, 2.0, 3.0), strict=True):
            vars(equation)['profile'] = [kind([1.0, last])]
        assert same_equation(equations[0], equations[1])
        assert not same_equation(equations[1], equations[2])

    def test_object(self) -> None:
        data = module(equation=PeriodicPoisson((5, 5)))
        assert trained_on(data)[0].shape == (3, 1, 5, 5)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ({'batch_size': 0}, 'positive batch_size'),
        ({'val_size': -1}, 'val_size of 0 or more'),
        ({'resolution': 3}, '4 points'),
        ({'resolution': [3, 9]}, '4 points'),
        ({'train_resolution': 8}, 'of which there are none'),
        ({'train_solutions': 2}, 'at least 3'),
        ({'equation': None, 'equation_options': {'modes': [5, 5]}}, 'Name it'),
    ],
)
def test_errors(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(**words)


def test_errors_of_equations() -> None:
    with pytest.raises(UnknownNameError, match='periodic_poisson'):
        module(equation='poison', equation_options=None)
    with pytest.raises(BandMismatchError, match='2'):
        module(resolution=[8, 8, 8]).setup('test')


class Witness(LightningModule):
    """A task that writes down what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen: list[Tensor] = []

    def training_step(self, batch: Any, index: int) -> Tensor:
        self.seen.append(batch['parameter'])
        loss: Tensor = self.layer.weight.sum()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-3)


def fit(path: Path, workers: int = 0, **words: Any) -> Tensor:
    task, resume = Witness(), words.pop('resume', None)
    keep = ModelCheckpoint(path, save_last=True, every_n_train_steps=1)
    trainer = quiet_trainer(callbacks=[keep], enable_checkpointing=True, **words)
    data = module(val_size=0, num_workers=workers)
    trainer.fit(task, data, ckpt_path=resume)
    return torch.stack(task.seen)


@pytest.mark.filterwarnings('ignore:The .* does not have many workers')
@pytest.mark.parametrize(('steps', 'workers'), [(4, 0), (6, 0), (6, 2)])
def test_training_goes_on_with_new_functions(
    steps: int, workers: int, tmp_path: Path
) -> None:
    whole = fit(tmp_path / 'whole', max_epochs=3)
    assert distinct(whole.flatten(0, 1)) == 36
    first = fit(tmp_path / 'a', max_steps=steps)
    last = str(tmp_path / 'a' / 'last.ckpt')
    rest = fit(tmp_path / 'b', workers, max_epochs=3, resume=last)
    assert torch.equal(torch.cat([first, rest]), whole)
