# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What features of a graph know about classes."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BandMismatchError, EmptyDataError
from ..graphs import SceneGraph
from ..metrics import ClassificationReport
from ..models.probes import ProbeFeatures, linear_predict
from ._pixel_reports import make_report, named_scores, split_name

if TYPE_CHECKING:
    from .graph_contrast import GraphContrast


def graph_probabilities(
    task: 'GraphContrast', graph: SceneGraph, known: Tensor | None = None
) -> Tensor:
    """Classify all nodes of a graph by those whose class is known.

    A linear classifier is fitted to the features that the task has learned.

    Args:
        task: The task.
        graph: The graph, on the device of the task.
        known: Class of each node (each tile with ``level='graph'``), -1 where it shall
            not be known, of shape ``(N,)``; the labels of the graph by default.

    Returns:
        Probabilities of shape ``(N, K)``, on the CPU.

    Raises:
        BandMismatchError: If there are not as many labels as nodes, or more classes
            than *num_classes*.
        EmptyDataError: If no class is known.

    Example:
        >>> from torchgeo_hsi.graphs import pixel_graph
        >>> from torchgeo_hsi.tasks import GraphContrast
        >>> graph = pixel_graph(torch.rand(20, 8, 8), components=4)
        >>> task = GraphContrast('grace', 4, num_classes=3, hidden_dim=16, output_dim=8)
        >>> known = torch.full((64,), -1)
        >>> known[:6] = torch.tensor([0, 1, 2, 0, 1, 2])
        >>> graph_probabilities(task, graph, known).shape
        torch.Size([64, 3])
    """
    labels = (graph.label if known is None else known).cpu()
    with torch.inference_mode(False), torch.enable_grad():
        # a copy is needed: nothing that was computed for inference can be learned from
        features = task.embed(graph).float().cpu().clone()
        if len(labels) != len(features):
            raise BandMismatchError(
                f'Expected a label (or -1) of each of {len(features)} nodes, got '
                f'{len(labels)}.'
            )
        rows = (labels >= 0).nonzero().flatten()
        if not len(rows):
            raise EmptyDataError(
                'No node has a known class, so nothing can be fitted. Check that '
                'training pixels lie on valid pixels of the scene.'
            )
        count = number_of_classes(task, labels)
        train = ProbeFeatures(features[rows], labels[rows].clone(), rows)
        return linear_predict(train, features, count, task.hparams['penalty'])


def number_of_classes(task: 'GraphContrast', labels: Tensor) -> int:
    """Return the number of classes.

    Args:
        task: The task.
        labels: Classes that are known.

    Returns:
        The number.

    Raises:
        BandMismatchError: If a label is larger.
    """
    hparams, data = task.hparams, data_of(task)
    names = hparams['labels'] or getattr(data, 'class_names', None)
    largest = int(labels.max()) + 1
    count = hparams['num_classes'] or (len(names) if names else max(largest, 2))
    if largest > count:
        raise BandMismatchError(
            f'Expected {count} classes, got the class index {largest - 1}. Set '
            'num_classes.'
        )
    return int(count)


def data_of(task: 'GraphContrast') -> Any:
    """Return the data module of a task, or None."""
    trainer: Any = task._trainer
    return getattr(trainer, 'datamodule', None)


def graph_report(
    task: 'GraphContrast', probabilities: Tensor, target: Tensor, stage: str
) -> ClassificationReport:
    """Count hits and misses.

    Args:
        task: The task; its data module knows split, mode and names.
        probabilities: Probabilities of shape ``(T, K)``.
        target: True classes of shape ``(T,)``.
        stage: ``'val'`` or ``'test'``.

    Returns:
        The report.
    """
    data, count = data_of(task), probabilities.shape[1]
    pairs = target * count + probabilities.argmax(1)
    matrix = torch.bincount(pairs, minlength=count**2).view(count, count)
    words = {
        'labels': task.hparams['labels'],
        'window': getattr(data, 'window', None),
        'model': task.hparams['objective'],
    }
    report = make_report(matrix.numpy(), stage, data, words)
    return replace(report, mode=getattr(data, 'mode', 'transductive'))


def log_scores(
    task: 'GraphContrast',
    report: ClassificationReport,
    probabilities: Tensor,
    target: Tensor,
    stage: str,
) -> None:
    """Log scores under names that say where they come from.

    Args:
        task: The task.
        report: The report.
        probabilities: Probabilities of shape ``(T, K)``.
        target: True classes of shape ``(T,)``.
        stage: ``'val'`` or ``'test'``.
    """
    logs = probabilities.clamp_min(1e-12).log()
    task.log(f'{stage}_loss', F.nll_loss(logs, target), batch_size=1)
    suffix = f'{split_name(data_of(task))}_{report.mode}'
    task.log_dict(named_scores(report, stage, suffix), batch_size=1)


def report_is_shown(task: 'GraphContrast', stage: str) -> bool:
    """Tell whether to print a report: at the end, and not if the trainer is quiet.

    Args:
        task: The task.
        stage: ``'val'`` or ``'test'``.

    Returns:
        True in ``trainer.validate`` and ``trainer.test``, unless ``verbose=False``.
    """
    trainer = task.trainer
    if trainer.state.fn not in ('validate', 'test'):
        return False
    loop = trainer.validate_loop if stage == 'val' else trainer.test_loop
    return bool(loop.verbose)
