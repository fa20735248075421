# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Labels, nodata and metrics of the tasks, against tables made by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from tasks.recipes import BANDS, images, loader, trainer
from torch import Tensor, nn
from torchgeo.datamodules import BaseDataModule

from torchgeo_hsi.tasks import HSIClassification, HSIRegression, HSISegmentation
from torchgeo_hsi.transforms import NormalizeValid


class Echo(nn.Module):
    """Shows what the first bands of the image say."""

    def __init__(self, outputs: int, pixels: bool) -> None:
        super().__init__()
        self.outputs = outputs
        self.pixels = pixels
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        y = x[:, : self.outputs] * self.scale
        return y if self.pixels else y[..., 0, 0]


def outputs_of(task: Any) -> int:
    return int(task.hparams.get('num_outputs') or task.hparams['num_classes'])


def scores_of(task: Any, data: Any, pixels: bool) -> dict[str, float]:
    task.model = Echo(outputs_of(task), pixels)
    (found,) = trainer().test(task, data, verbose=False)
    return {k.removeprefix('test_'): v for k, v in found.items()}


def segmentation(**kwargs: Any) -> HSISegmentation:
    options: dict[str, Any] = {
        'in_channels': 3,
        'num_classes': 3,
        'ignore_index': 3,
        'labels': ['corn', 'rice', 'soil'],
    }
    return HSISegmentation(**(options | kwargs))


def show(prediction: Tensor) -> Tensor:
    """Draw images of which a network that echoes predicts these classes."""
    return torch.nn.functional.one_hot(prediction, 3).movedim(-1, 1).float() * 9


def test_segmentation_by_hand() -> None:
    # two images; the 3 is not labelled
    truth = torch.tensor([[[0, 0, 1], [1, 3, 2]], [[3, 3, 0], [1, 1, 3]]])
    prediction = torch.tensor([[[0, 1, 1], [1, 0, 1]], [[0, 1, 0], [1, 0, 2]]])
    # rows: truth; columns: prediction; eight labelled pixels
    table = np.array([[2, 1, 0], [1, 3, 0], [0, 1, 0]])
    scores = scores_of(
        segmentation(), loader(image=show(prediction), mask=truth), pixels=True
    )
    hit = np.diag(table)
    union = table.sum(0) + table.sum(1) - hit
    iou = hit / union
    assert scores['OverallAccuracy'] == pytest.approx(5 / 8)
    assert scores['OverallJaccardIndex'] == pytest.approx(5 / 11)
    assert scores['AverageJaccardIndex'] == pytest.approx(iou.mean())
    f1 = 2 * hit / (table.sum(0) + table.sum(1))
    assert scores['AverageF1Score'] == pytest.approx(f1.mean())
    assert scores['AverageAccuracy'] == pytest.approx((hit / table.sum(1)).mean())
    for name, a, b in zip(('corn', 'rice', 'soil'), iou, f1, strict=True):
        assert scores[f'ClasswiseJaccardIndex_{name}'] == pytest.approx(a)
        assert scores[f'ClasswiseF1Score_{name}'] == pytest.approx(b)


def test_absent_classes_are_left_out_of_the_average() -> None:
    truth = torch.tensor([[[0, 0, 3]]])
    scores = scores_of(
        segmentation(), loader(1, image=show(truth.clamp_max(2)), mask=truth), True
    )
    assert scores['AverageJaccardIndex'] == scores['OverallJaccardIndex'] == 1


def test_invalid_pixels_do_not_count() -> None:
    truth = torch.tensor([[[0, 0, 1, 1]]])
    prediction = torch.tensor([[[0, 1, 1, 0]]])
    batch = {
        'image': show(prediction),
        'mask': truth,
        'valid': torch.tensor([[[True, False, True, False]]]),
    }
    normalize = NormalizeValid(torch.zeros(3), torch.ones(3), ignore_index=3)
    batch = normalize(batch)
    scores = scores_of(segmentation(), loader(1, **batch), pixels=True)
    assert scores['OverallAccuracy'] == scores['AverageJaccardIndex'] == 1
    # and the loss is that of the two valid pixels alone
    logits = show(prediction)[..., [0, 2]]
    want = nn.functional.cross_entropy(logits, truth[..., [0, 2]])
    assert scores['loss'] == pytest.approx(want.item(), rel=1e-5)


@pytest.mark.parametrize('loss', ['ce', 'dice', 'jaccard', 'focal'])
def test_batches_without_labels(loss: Any) -> None:
    truth = torch.randint(0, 3, (4, 6, 6), generator=torch.Generator().manual_seed(0))
    truth[:2] = 3
    task = segmentation(model='spectral_mlp', in_channels=BANDS, loss=loss)
    data = loader(image=images(4, 6), mask=truth)
    run = trainer()
    run.fit(task, data, data)
    assert all(torch.isfinite(p).all() for p in task.parameters())
    assert torch.isfinite(run.callback_metrics['val_loss'])
    nothing = loader(image=images(4, 6), mask=torch.full_like(truth, 3))
    trainer().fit(task, nothing)
    assert all(torch.isfinite(p).all() for p in task.parameters())


def test_one_class_in_the_data() -> None:
    task = segmentation(model='spectral_mlp', in_channels=BANDS)
    data = loader(image=images(4, 6), mask=torch.ones(4, 6, 6).long())
    run = trainer()
    run.fit(task, data, data)
    assert torch.isfinite(run.callback_metrics['val_AverageJaccardIndex'])


def test_one_output_is_refused() -> None:
    with pytest.raises(ValueError, match='at least 2'):
        HSISegmentation(num_classes=1)
    with pytest.raises(ValueError, match='at least 2'):
        HSIClassification(num_classes=1)
    with pytest.raises(ValueError, match='Expected 3 labels, got 1'):
        segmentation(labels=['corn'])


def classification(**kwargs: Any) -> HSIClassification:
    options: dict[str, Any] = {
        'backbone': 'spec_vit_tiny',
        'in_channels': BANDS,
        'backbone_kwargs': {'depth': 1},
        'num_classes': 4,
        'task': 'multilabel',
        'labels': list('abcd'),
    }
    return HSIClassification(**(options | kwargs))


def test_multilabel_against_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 2, (12, 4), generator=generator)
    logits = torch.randn(12, 4, generator=generator)
    data = loader(5, image=logits[..., None, None], label=truth)
    scores = scores_of(classification(), data, pixels=False)
    y, p = truth.numpy(), logits.numpy()
    for name, average in (('Overall', 'micro'), ('Average', 'macro')):
        want = average_precision_score(y, p, average=average)
        assert scores[f'{name}AveragePrecision'] == pytest.approx(want, rel=1e-5)
        want = f1_score(y, p > 0, average=average)
        assert scores[f'{name}F1Score'] == pytest.approx(want, rel=1e-5)
    assert scores['OverallAccuracy'] == pytest.approx(((p > 0) == y).mean())
    for k, name in enumerate('abcd'):
        want = average_precision_score(y[:, k], p[:, k])
        found = scores[f'ClasswiseAveragePrecision_{name}']
        assert found == pytest.approx(want, rel=1e-5)


def test_unknown_labels_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 2, (6, 4), generator=generator)
    logits = torch.randn(6, 4, generator=generator)
    truth[:3, 1] = -1
    data = loader(6, image=logits[..., None, None], label=truth)
    scores = scores_of(classification(ignore_index=-1), data, pixels=False)
    known = truth != -1
    hit = ((logits > 0) == truth.bool())[known]
    assert scores['OverallAccuracy'] == pytest.approx(hit.float().mean().item())
    want = nn.functional.binary_cross_entropy_with_logits(
        logits[known], truth[known].float()
    )
    assert scores['loss'] == pytest.approx(want.item(), rel=1e-5)


def test_one_class_for_each_image() -> None:
    truth = torch.tensor([0, 1, 2, 3, 3, 9])
    logits = nn.functional.one_hot(torch.tensor([0, 1, 2, 2, 3, 0]), 4) * 9.0
    task = classification(task='multiclass', ignore_index=9)
    data = loader(3, image=logits[..., None, None], label=truth)
    scores = scores_of(task, data, pixels=False)
    assert scores['OverallAccuracy'] == pytest.approx(4 / 5)
    assert scores['AverageAccuracy'] == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert 'AverageAveragePrecision' in scores


@pytest.mark.parametrize('kind', ['multiclass', 'multilabel'])
def test_images_without_labels(kind: Any) -> None:
    shape = (4,) if kind == 'multiclass' else (4, 4)
    task = classification(task=kind, ignore_index=-1)
    run = trainer()
    run.fit(task, loader(image=images(), label=torch.full(shape, -1)))
    assert run.callback_metrics['train_loss'] == 0
    assert all(torch.isfinite(p).all() for p in task.parameters())


def test_class_weights_reach_the_losses() -> None:
    task = classification(class_weights=[1, 2, 3, 4])
    assert task.criterion.pos_weight.tolist() == [1, 2, 3, 4]
    task = classification(task='multiclass', class_weights=[1, 2, 3, 4])
    assert task.criterion.weight.tolist() == [1, 2, 3, 4]


def test_losses_belong_to_tasks() -> None:
    with pytest.raises(ValueError, match="task='multilabel' with loss='bce'"):
        classification(loss='ce')
    with pytest.raises(ValueError, match='normalized_mse'):
        HSIRegression('spec_vit_tiny', loss='huber')  # type: ignore[arg-type]


def regression(**kwargs: Any) -> HSIRegression:
    options: dict[str, Any] = {
        'backbone': 'spec_vit_tiny',
        'in_channels': BANDS,
        'backbone_kwargs': {'depth': 1},
        'num_outputs': 2,
        'labels': ['P', 'pH'],
    }
    return HSIRegression(**(options | kwargs))


def test_regression_by_hand() -> None:
    truth = torch.tensor([[1.0, 2.0], [3.0, 0.0], [torch.nan, 1.0], [0.0, 1.0]])
    prediction = torch.tensor([[1.0, 1.0], [2.0, 0.0], [8.0, 8.0], [2.0, 1.0]])
    data = loader(1, image=prediction[..., None, None], label=truth)
    scores = scores_of(regression(), data, pixels=False)
    # squared errors: 0, 1, 4 and 1, 0, 0
    assert scores['MSE_P'] == pytest.approx(5 / 3)
    assert scores['RMSE_pH'] == pytest.approx((1 / 3) ** 0.5)
    assert scores['MAE_P'] == pytest.approx(1)
    assert scores['RMSE'] == pytest.approx(1)
    assert scores['HyperviewScore'] == pytest.approx((5 / 10 + 1 / 5) / 2)


def test_regression_without_targets() -> None:
    task = regression()
    run = trainer()
    data = loader(image=images(), label=torch.full((4, 2), torch.nan))
    run.fit(task, data, data)
    assert run.callback_metrics['train_loss'] == 0
    assert all(torch.isfinite(p).all() for p in task.parameters())


def test_one_target() -> None:
    task = regression(num_outputs=1, labels=None, loss='mae')
    run = trainer()
    run.fit(task, loader(image=images(), label=torch.ones(4)))
    assert torch.isfinite(run.callback_metrics['train_RMSE'])


@pytest.mark.parametrize('make', [classification, regression])
def test_saved(make: Any, tmp_path: Path) -> None:
    task = make()
    labels = torch.ones(4, outputs_of(task))
    labels = labels.long() if make is classification else labels
    run = trainer()
    run.fit(task, loader(image=images(), label=labels))
    run.save_checkpoint(tmp_path / 'last.ckpt')
    again = type(task).load_from_checkpoint(tmp_path / 'last.ckpt')
    assert torch.equal(again.eval()(images()), task.eval()(images()))
    (found,) = run.predict(again, loader(4, image=images()))
    assert found.shape == (4, outputs_of(task))


class Figures(BaseDataModule):
    """Notes what it is asked to draw."""

    def __init__(self, data: Any) -> None:
        super().__init__(list)  # type: ignore[arg-type]
        self.mean, self.std = torch.full((BANDS,), 5.0), torch.full((BANDS,), 2.0)
        self.data = data
        self.drawn: list[dict[str, Tensor]] = []

    def train_dataloader(self) -> Any:
        return self.data

    def val_dataloader(self) -> Any:
        return self.data

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch

    def plot(self, sample: dict[str, Tensor]) -> None:
        self.drawn.append(sample)


@pytest.mark.parametrize('make', [classification, regression])
def test_figures(make: Any, tmp_path: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    class Board(CSVLogger):
        @property
        def experiment(self) -> Any:
            return SimpleNamespace(
                add_figure=None, log_metrics=None, log_hparams=lambda p: None, save=None
            )

        def log_metrics(self, *args: Any, **kwargs: Any) -> None: ...

        def save(self) -> None: ...

    task = make()
    labels = torch.ones(4, outputs_of(task))
    columns = {
        'image': images(),
        'label': labels.long() if make is classification else labels,
        'valid': torch.ones(4, 16, 16, dtype=torch.bool),
        'wavelength': torch.rand(4, BANDS),
    }
    datamodule = Figures(loader(**columns))
    trainer(logger=Board(tmp_path)).fit(task, datamodule=datamodule)
    assert len(datamodule.drawn) >= 2
    sample = datamodule.drawn[0]
    assert torch.allclose(sample['image'], columns['image'][0] * 2 + 5, atol=1e-5)
    assert sample['prediction'].shape == sample['label'].shape
    assert torch.equal(sample['wavelength'], columns['wavelength'][0])
