# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Edges at random against spectra of graphs: views for contrastive learning on scenes.

The claim (https://doi.org/10.48550/arXiv.2405.19600): for contrastive learning on graphs,
dropping random edges (tasks on nodes) or adding some (tasks on whole graphs) is as good
as augmentations that change the spectrum of the graph, or better, at far lower cost.

Here the question is asked on hyperspectral scenes: the EnMAP tiles of Potsdam and Jasper
Ridge, as graphs of superpixels, of pixels, and of tiles. An encoder is trained on each
without labels, once for each kind of views. A linear classifier of the frozen features
is then fitted to few labels of each class and scored on blocks of the scene that lie
apart (nodes), or on other tiles (graphs), for several splits and draws of labels. All
nodes are seen in training, without labels: scores are transductive. The features
themselves, and an encoder that was not trained, are scored the same way.

    python benchmarks/graph_augmentation.py --quick
    python benchmarks/graph_augmentation.py --out
    python benchmarks/graph_augmentation.py --scenes jasper --nodes superpixel tile
"""

import argparse
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil
import torch
from _graph_scenes import SCENES, Scene
from common import finish, header, option_parser
from torch import Tensor

from torchgeo_hsi.datasets import block_pixel_split
from torchgeo_hsi.errors import JobError
from torchgeo_hsi.graphs import (
    SceneGraph,
    graph_labels,
    pixel_graph,
    superpixel_graph,
    tile_graphs,
)
from torchgeo_hsi.graphs.superpixel_graph import majority
from torchgeo_hsi.models.graphs import mean_pool
from torchgeo_hsi.models.probes import ProbeFeatures, linear_predict
from torchgeo_hsi.tasks import GraphContrast

NODES = ('superpixel', 'pixel', 'tile')
OBJECTIVES = ('grace', 'bgrl')
#: Rows and columns of the tiles of each scene.
TILES = {'potsdam': 16, 'jasper': 10}
SHARES = {'train': 0.5, 'test': 0.5}
#: Pixels that two graph convolutions see on the map.
WINDOW = 5
PENALTY = 1e-2

_MASK = ({'mask_features': 0.2}, {'mask_features': 0.3})


def _with_mask(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    return [first | _MASK[0], second | _MASK[1]]


#: What both views do.
VIEWS: dict[str, list[dict[str, Any]]] = {
    'none': [{}, {}],
    'mask': list(_MASK),
    'drop': _with_mask({'drop_edges': 0.3}, {'drop_edges': 0.5}),
    'drop_most': _with_mask({'drop_edges': 0.8}, {'drop_edges': 0.8}),
    'add': _with_mask({'add_edges': 0.3}, {'add_edges': 0.5}),
    'span': _with_mask(
        {'spectral_perturbation': {'direction': 'max', 'ratio': 0.3}},
        {'spectral_perturbation': {'direction': 'min', 'ratio': 0.3}},
    ),
    # as published, for graphs of some dozens of nodes
    'dual_prism': _with_mask({'dual_prism': {}}, {'dual_prism': {}}),
    'dual_prism_strong': _with_mask(
        {'dual_prism': {'std': 10.0}}, {'dual_prism': {'std': 10.0}}
    ),
    'dual_prism_mask': _with_mask(
        {'dual_prism': {'form': 'mask'}}, {'dual_prism': {'form': 'mask'}}
    ),
}


def build_graph(name: str, scene: Scene, nodes: str) -> SceneGraph:
    """Make the graph, without labels."""
    if nodes == 'superpixel':
        return superpixel_graph(scene.image, scene.valid, segments=1000)
    if nodes == 'pixel':
        return pixel_graph(scene.image, scene.valid)
    return tile_graphs(scene.image, scene.valid, scene.labels, tile_size=TILES[name])


@contextmanager
def peak_memory(found: dict[str, float]) -> Iterator[None]:
    """Note by how much the memory of the process grows at most, in MiB."""
    process = psutil.Process()
    start = process.memory_info().rss
    top, done = [start], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            top[0] = max(top[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        found['peak_mib'] = round((top[0] - start) / 2**20, 1)


def make_task(
    graph: SceneGraph, objective: str, views: str, level: str, seed: int
) -> GraphContrast:
    """Build a task with random weights."""
    torch.manual_seed(seed)
    return GraphContrast(
        objective,
        in_channels=graph.x.shape[1],
        hidden_dim=128,
        output_dim=64,
        batch_norm=objective == 'bgrl',
        views=VIEWS[views],
        level=level,
        sample_nodes=1536,
        lr=1e-3,
    )


def train(
    task: GraphContrast, graph: SceneGraph, steps: int, seed: int
) -> dict[str, Any]:
    """Train an encoder; measure time and memory, and how much views change."""
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(task.parameters(), 1e-3, weight_decay=1e-5)
    found: dict[str, Any] = {}
    with peak_memory(found):
        start = time.perf_counter()
        # what views learn or decompose once
        changed = [changed_edges(graph, view(graph, rng)) for view in task.views]
        found['setup_s'] = round(time.perf_counter() - start, 3)
        task.train()
        start = time.perf_counter()
        for step in range(steps):
            loss = task.compare(graph, rng)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            share = 0.5 * (1 + math.cos(math.pi * step / steps))
            task.objective.follow(1 - (1 - 0.99) * share)
        found['step_s'] = round((time.perf_counter() - start) / steps, 4)
        start = time.perf_counter()
        for view in task.views:
            view(graph, rng)
        found['views_s'] = round(time.perf_counter() - start, 4)
    return found | {'changed_edges': changed}


def changed_edges(graph: SceneGraph, view: SceneGraph) -> dict[str, float]:
    """Count removed and added edges, as shares of those that were there."""
    count = graph.num_nodes
    old, new = (g.edge_index[0] * count + g.edge_index[1] for g in (graph, view))
    return {
        'removed': round(float((~torch.isin(old, new)).sum()) / len(old), 4),
        'added': round(float((~torch.isin(new, old)).sum()) / len(old), 4),
    }


def predict(features: Tensor, known: Tensor, classes: int) -> Tensor:
    """Fit a linear classifier to known nodes, and classify all."""
    rows = (known >= 0).nonzero().flatten()
    probe = ProbeFeatures(features[rows], known[rows].clone(), rows)
    return linear_predict(probe, features, classes, PENALTY).argmax(1)


def draw_labels(labels: Tensor, shots: int, rng: torch.Generator) -> Tensor:
    """Keep *shots* labels of each class, or half of them where there are not so many."""
    kept = torch.full_like(labels, -1)
    for code in labels[labels >= 0].unique():
        mine = (labels == code).nonzero().flatten()
        number = min(shots, max(len(mine) // 2, 1))
        kept[mine[torch.randperm(len(mine), generator=rng)[:number]]] = code
    return kept


def scores(truth: Tensor, guess: Tensor) -> dict[str, float]:
    """Compute overall and average accuracy."""
    hits = (truth == guess).float()
    recall = [float(hits[truth == code].mean()) for code in truth.unique()]
    return {'OA': float(hits.mean()), 'AA': float(np.mean(recall))}


class Judge:
    """Scores features of nodes (or tiles) on the same splits and labels.

    Args:
        scene: The scene.
        graph: Its graph.
        args: Options: *splits*, *draws*, *shots* and *seed*.
    """

    def __init__(
        self, scene: Scene, graph: SceneGraph, args: argparse.Namespace
    ) -> None:
        """Initialize a new Judge instance."""
        self.graph, self.args = graph, args
        self.classes = int(scene.labels.max()) + 1
        self.trials: list[tuple[int, Tensor, Tensor, Tensor]] = []
        for seed in range(args.seed, args.seed + args.splits):
            rng = torch.Generator().manual_seed(seed)
            for shots in args.shots:
                for _ in range(args.draws):
                    if graph.graph is not None:
                        self._add_tiles(shots, rng)
            if graph.graph is None:
                self._add_pixels(scene, seed, rng)

    def _add_tiles(self, shots: int, rng: torch.Generator) -> None:
        """Some tiles of each class are known, all others are the test."""
        labels = graph_labels(self.graph)
        known = draw_labels(labels, shots, rng)
        test = ((labels >= 0) & (known < 0)).nonzero().flatten()
        self.trials.append((shots, known, test, labels[test]))

    def _add_pixels(self, scene: Scene, seed: int, rng: torch.Generator) -> None:
        """Blocks with a guard are the test, some pixels of the others are known."""
        split = block_pixel_split(
            scene.labels,
            WINDOW,
            SHARES,
            ignore_index=-1,
            trials=40,
            generator=torch.Generator().manual_seed(seed),
        )
        nodes = self.graph.membership
        assert nodes is not None
        parts = {
            name: torch.from_numpy(split.select(name, -1)).long() for name in SHARES
        }
        inside = nodes >= 0
        test = (parts['test'] >= 0) & inside
        for shots in self.args.shots:
            for _ in range(self.args.draws):
                pixels = draw_labels(parts['train'].flatten(), shots, rng)
                pixels = pixels.view_as(nodes)[inside]
                known = majority(nodes[inside], pixels, self.graph.num_nodes)
                self.trials.append((shots, known, nodes[test], parts['test'][test]))

    def __call__(self, features: Tensor) -> dict[str, Any]:
        """Score features of shape ``(N, F)``."""
        runs: dict[int, list[dict[str, float]]] = {
            shots: [] for shots in self.args.shots
        }
        for shots, known, index, truth in self.trials:
            guess = predict(features, known, self.classes)
            runs[shots].append(scores(truth, guess[index]))
        return {
            str(shots): {
                name: [
                    round(float(np.mean([run[name] for run in found])), 4),
                    round(float(np.std([run[name] for run in found])), 4),
                ]
                for name in ('OA', 'AA')
            }
            for shots, found in runs.items()
        }


def run_graph(
    name: str, scene: Scene, nodes: str, args: argparse.Namespace
) -> dict[str, Any]:
    """Compare all views on one graph."""
    start = time.perf_counter()
    graph = build_graph(name, scene, nodes)
    level = 'graph' if nodes == 'tile' else 'node'
    result: dict[str, Any] = {
        'build_s': round(time.perf_counter() - start, 2),
        'nodes': graph.num_nodes,
        'edges': graph.num_edges // 2,
    }
    judge = Judge(scene, graph, args)
    raw = graph.x if graph.graph is None else mean_pool(graph.x, graph.graph)
    result['features'] = judge(raw)
    show(name, nodes, 'features', '', result['features'], '')
    task = make_task(graph, 'grace', 'none', level, args.seed)
    result['untrained'] = judge(task.embed(graph))
    show(name, nodes, 'untrained', '', result['untrained'], '')
    for objective in args.objectives:
        result[objective] = {}
        for views in args.views:
            task = make_task(graph, objective, views, level, args.seed)
            try:
                cost = train(task, graph, args.steps, args.seed)
            except JobError as error:
                result[objective][views] = {'refused': str(error)}
                print(f'{name:8s}{nodes:11s}{objective:6s} {views:18s} refused')
                continue
            found = judge(task.embed(graph).clone())
            result[objective][views] = cost | found
            show(name, nodes, objective, views, found, cost)
    return result


def show(name: str, nodes: str, method: str, views: str, found: Any, cost: Any) -> None:
    """Print a line."""
    text = '  '.join(
        f'{shots}: OA {s["OA"][0]:.3f} ({s["OA"][1]:.3f}) AA {s["AA"][0]:.3f}'
        for shots, s in found.items()
    )
    if cost:
        text += (
            f'  set-up {cost["setup_s"]:.2f} s, step {cost["step_s"] * 1e3:.0f} ms, '
            f'{cost["peak_mib"]:.0f} MiB'
        )
    print(f'{name:8s}{nodes:11s}{method:9s} {views:18s} {text}', flush=True)


def main(args: argparse.Namespace) -> None:
    """Run all graphs; what is done is written after each."""
    torch.set_num_threads(args.threads)
    if args.quick:
        args.scenes, args.nodes = ['jasper'], ['superpixel', 'tile']
        args.objectives, args.steps = ['grace'], 5
        args.splits, args.draws, args.shots = 1, 2, [5]
        args.views = ['mask', 'drop', 'add', 'span', 'dual_prism_strong']
    result = header('graph_augmentation', args)
    words = ('steps', 'splits', 'draws', 'shots')
    result |= {word: getattr(args, word) for word in words}
    result['claim'] = (
        'arXiv 2405.19600: dropping edges (nodes) and adding edges (graphs) at random '
        'match or beat spectral augmentation at far lower cost'
    )
    result['mode'] = 'transductive; blocks with a guard (nodes), other tiles (graphs)'
    result['scenes'] = {}
    for name in args.scenes:
        scene = SCENES[name]()
        result['scenes'][name] = {}
        for nodes in args.nodes:
            result['scenes'][name][nodes] = run_graph(name, scene, nodes, args)
            if args.out:
                finish(result, args.out)
    finish(result, args.out)


if __name__ == '__main__':
    parser = option_parser('graph_augmentation', __doc__)
    parser.add_argument('--scenes', nargs='+', choices=SCENES, default=list(SCENES))
    parser.add_argument('--nodes', nargs='+', choices=NODES, default=list(NODES))
    parser.add_argument(
        '--objectives', nargs='+', choices=OBJECTIVES, default=list(OBJECTIVES)
    )
    parser.add_argument('--views', nargs='+', choices=VIEWS, default=list(VIEWS))
    parser.add_argument('--steps', type=int, default=100, help='training steps')
    parser.add_argument('--splits', type=int, default=5, help='splits of each graph')
    parser.add_argument('--draws', type=int, default=3, help='draws of labels, each')
    parser.add_argument('--shots', type=int, nargs='+', default=[5, 20])
    main(parser.parse_args())
