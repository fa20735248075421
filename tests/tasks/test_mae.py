# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of masked autoencoding."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tasks.pretraining import (
    BANDS,
    SIZE,
    TINY,
    Batches,
    Plain,
    batches,
    check_resume,
    images,
    plain_views,
    state_of,
    trainer,
)
from torch.optim import AdamW

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.models import (
    export_spectral_earth_weights,
    load_spectral_earth_weights,
)
from torchgeo_hsi.models.masked_autoencoder.model import MaskedAutoencoder
from torchgeo_hsi.tasks.mae import HSIMAE
from torchgeo_hsi.transforms import MultiView

DECODER: dict[str, Any] = {'decoder_dim': 16, 'decoder_heads': 4, 'mask_ratio': 0.5}

#: The published network, less deep and less wide.
SPECTRAL: dict[str, Any] = {
    'model': 'spec_vit_tiny',
    'model_kwargs': {'img_size': 16, 'embed_dim': 24, 'depth': 2, 'num_heads': 3},
    'in_channels': 202,
    'size': 16,
}


def make(seed: int = 0, **kwargs: Any) -> HSIMAE:
    torch.manual_seed(seed)
    return HSIMAE(**(TINY | DECODER | kwargs))


def one_view() -> MultiView:
    return MultiView([Plain()])


class TestNetworks:
    def test_defaults_are_those_of_spectral_earth(self) -> None:
        task = HSIMAE(model_kwargs={'depth': 1})
        hparams = task.hparams
        assert hparams['mask_ratio'] == 0.9
        assert task.autoencoder.masking == 'spatial'
        assert task.decoder.predict.out_features == 3232
        assert task.decoder.mask_token.shape == (1, 1, 512)
        assert len(task.decoder.blocks) == 1
        assert task.decoder.blocks[0].attn.num_heads == 16
        assert task.decoder.blocks[0].mlp.fc1.out_features == 2048
        assert (task.recipe.lr, task.recipe.betas) == (1e-4, (0.9, 0.95))
        image = torch.zeros(1, 202, 128, 128)
        assert task.autoencoder.draw(image).keep.shape == (1, 102)

    def test_each_weight_is_there_once(self) -> None:
        task = make(masking='both')
        names = {name.partition('.')[0] for name in task.state_dict()}
        assert names == {'backbone', 'decoder', 'band_signal'}
        mine = {id(p) for p in task.parameters()}
        assert mine == {id(p) for p in task.autoencoder.parameters()}
        assert task.autoencoder.backbone is task.backbone

    def test_copies_have_an_autoencoder_of_their_own(self) -> None:
        from copy import deepcopy

        task = make()
        twin = deepcopy(task)
        assert twin.autoencoder.backbone is twin.backbone is not task.backbone
        assert twin.autoencoder.decoder is twin.decoder

    def test_initial_weights(self) -> None:
        task = make()
        assert not task.backbone.pos_embed[0, 0].any()  # type: ignore[index, union-attr]

    def test_loaded_weights_are_kept(self, tmp_path: Path) -> None:
        path = tmp_path / 'mae.pth'
        source = HSIMAE(**(SPECTRAL | DECODER))
        export_spectral_earth_weights(source, path)
        state = torch.load(path, weights_only=True)
        assert 'vit_core.pos_embed' in state
        assert 'spectral_adapter.0.weight' in state
        again = HSIMAE(**(SPECTRAL | DECODER), weights=str(path))
        first, second = source.backbone.state_dict(), again.backbone.state_dict()
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)

    def test_checkpoint_of_a_training_is_exported(self, tmp_path: Path) -> None:
        task = HSIMAE(**(SPECTRAL | DECODER), masking='both', lr=1.0)
        data = [{'image': torch.randn(2, 202, 16, 16)}]
        host = trainer(callbacks=[], enable_checkpointing=False)
        host.fit(task, Batches(*data))
        host.save_checkpoint(tmp_path / 'last.ckpt')
        loaded = HSIMAE.load_from_checkpoint(
            tmp_path / 'last.ckpt', map_location='cpu', weights_only=False
        )
        export_spectral_earth_weights(loaded, tmp_path / 'mae.pth')
        fresh = HSIMAE(**(SPECTRAL | DECODER)).backbone
        # straight from the checkpoint, and by way of the official layout
        for path in ('last.ckpt', 'mae.pth'):
            load_spectral_earth_weights(fresh, tmp_path / path)
            want, found = task.backbone.state_dict(), fresh.state_dict()
            assert all(torch.equal(want[key], found[key]) for key in want)

    @pytest.mark.parametrize('model', ['resnet18', 'spec_resnet18'])
    def test_no_vision_transformer(self, model: str) -> None:
        with pytest.raises(TypeError, match='plain vision transformer'):
            HSIMAE(model, in_channels=80)


class TestTraining:
    def test_loss_is_that_of_the_network(self) -> None:
        task = make(views=one_view())
        seen: list[Any] = []
        draw = task.autoencoder.draw
        task.autoencoder.draw = lambda *a: seen.append(draw(*a)) or seen[-1]  # type: ignore[method-assign, assignment, func-returns-value]
        host = trainer()
        valid = torch.rand(4, SIZE, SIZE) > 0.2
        batch = {'image': images(), 'valid': valid}
        twin = make(views=one_view()).autoencoder
        host.fit(task, Batches(batch))
        want, features = twin(images(), valid, seen[0])
        assert host.callback_metrics['train_loss'] == pytest.approx(want.item())
        spread = torch.nn.functional.normalize(features, dim=1).std(dim=0).mean()
        assert host.callback_metrics['train_std'] == pytest.approx(spread.item())

    def test_optimizer(self) -> None:
        task = make(lr=1e-3, weight_decay=0.05)
        host = trainer()
        host.fit(task, batches(size=4))
        (optimizer,) = host.optimizers
        assert isinstance(optimizer, AdamW)
        assert optimizer.defaults['betas'] == (0.9, 0.95)
        assert optimizer.defaults['lr'] == pytest.approx(1e-3 * 4 / 256)
        heavy, light = optimizer.param_groups
        assert heavy['weight_decay'] == 0.05
        assert light['weight_decay'] == 0
        assert all(p.ndim == 1 for p in light['params'])

    def test_all_that_is_trained_moves(self) -> None:
        task = make(masking='both', scale_lr=False, lr=0.01)
        before = state_of(task)
        trainer(2).fit(task, batches())
        after = state_of(task)
        assert not [key for key in before if torch.equal(before[key], after[key])]

    def test_one_date_by_chance(self) -> None:
        task = make(views=None)
        first, second = torch.zeros(4, BANDS, 8, 8), torch.ones(4, BANDS, 8, 8)
        batch = {'image': torch.cat((first, second), dim=1)}
        found = {
            float(task.views(task.dates(batch))[0]['image'].mean()) for _ in range(20)
        }
        assert found == {0.0, 1.0}

    @pytest.mark.parametrize('masking', ['spatial', 'both'])
    def test_exact_resume(self, tmp_path: Path, masking: str) -> None:
        check_resume(lambda: make(masking=masking), tmp_path)

    def test_validation_is_the_same_each_time(self) -> None:
        task = make()
        losses = [
            trainer().validate(task, batches(), verbose=False)[0]['val_loss']
            for _ in range(2)
        ]
        assert losses[0] == losses[1] > 0

    def test_half_precision(self) -> None:
        task = make()
        host = trainer(precision='bf16-mixed')
        host.fit(task, batches())
        assert host.callback_metrics['train_loss'].isfinite()

    def test_compiled(self) -> None:
        task = make(views=one_view())
        want = make(views=one_view())
        task.backbone.blocks.compile(backend='eager')  # type: ignore[operator, union-attr]
        hosts = [trainer(), trainer()]
        for host, one in zip(hosts, (task, want), strict=True):
            torch.manual_seed(0)
            host.fit(one, batches())
        torch.testing.assert_close(
            *(host.callback_metrics['train_loss'] for host in hosts)
        )

    def test_two_views(self) -> None:
        with pytest.raises(ValueError, match='1 view, got 2'):
            trainer().fit(make(views=plain_views()), batches())

    def test_wrong_size(self) -> None:
        with pytest.raises(ValueError, match='takes images of 8 x 8'):
            trainer().fit(make(size=12), batches())

    def test_wrong_data(self) -> None:
        with pytest.raises(BandMismatchError):
            trainer().fit(make(), batches(bands=7))
        with pytest.raises(UnitError):
            trainer().fit(make(), Batches({'image': images() * 1e5}))


class TestFeatures:
    @pytest.mark.parametrize('pool', ['token', 'avg'])
    def test_mean_of_tokens(self, pool: str) -> None:
        kwargs = TINY['model_kwargs'] | {'global_pool': pool}
        task = make(model_kwargs=kwargs).eval()
        found = task.predict_step({'image': images()}, 0)['embedding']
        net: Any = task.backbone
        want = net.forward_features(images())[:, 1:].mean(dim=1)
        if pool == 'avg':
            want = net.fc_norm(want)
        torch.testing.assert_close(found, want)

    def test_pixels(self) -> None:
        task = make(predict='pixels').eval()
        found = task.predict_step({'image': images()}, 0)['prediction']
        assert found.shape == (4, 24, SIZE, SIZE)

    def test_reconstruction_is_the_same_each_time(self) -> None:
        task = make().eval()
        # larger images are cut, and of two dates it is the first one
        image = torch.randn(2, 2 * BANDS, 12, 12)
        state = torch.get_rng_state()
        sample, first, hidden = task.reconstruct({'image': image})
        _, second, _ = task.reconstruct({'image': image})
        assert torch.equal(state, torch.get_rng_state())
        assert sample['image'].shape == (2, BANDS, SIZE, SIZE)
        assert torch.equal(first, second)
        assert torch.equal(first[~hidden], sample['image'][~hidden])
        assert hidden.float().mean() == 0.5


def test_autoencoder_is_public() -> None:
    assert isinstance(make().autoencoder, MaskedAutoencoder)
