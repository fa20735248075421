# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Averages of the runs, and what beats what."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from _pretraining_tasks import TASKS


def short(scores: dict[Any, Any]) -> str:
    """Write scores, of which some are of sensors, in a line."""
    return ', '.join(
        f'{key} {value:.3f}' if isinstance(value, float) else f'{key} ({short(value)})'
        for key, value in scores.items()
    )


def average(runs: Sequence[Any]) -> Any:
    """Average runs that look the same, number by number."""
    if isinstance(runs[0], dict):
        return {str(key): average([run[key] for run in runs]) for key in runs[0]}
    return {
        'mean': round(float(np.mean(runs)), 4),
        'spread': round(float(np.std(runs)), 4),
        'seeds': [round(run, 4) for run in runs],
    }


def mean_of(scores: dict[str, Any]) -> float:
    """Average the scores over the numbers of labels."""
    return float(np.mean([entry['mean'] for entry in scores.values()]))


def verdict(result: dict[str, Any]) -> dict[str, Any]:
    """Say what beats what, on average over the numbers of labels."""
    found: dict[str, Any] = {}
    if 'probe' in result:
        means = {name: mean_of(scores) for name, scores in result['probe'].items()}
        best = max(TASKS, key=means.__getitem__)
        found['best'], mean_of_best = best, means[best]
        for other, mean in means.items():
            if other not in TASKS:
                found[f'best_over_{other}'] = round(mean_of_best - mean, 4)
        found['over_random'] = {
            name: round(means[name] - means['random'], 4) for name in TASKS
        }
    if 'sensors' in result:
        for name, scores in result['sensors'].items():
            own = mean_of(result['sensors'][name.partition(',')[0]]['enmap'])
            found[f'kept, {name}'] = {
                sensor: round(mean_of(found_scores) / own, 4)
                for sensor, found_scores in scores.items()
                if sensor != 'enmap'
            }
    if 'views' in result:
        means = {name: mean_of(scores) for name, scores in result['views'].items()}
        found['over_neighbours'] = {
            name: round(mean - means['neighbours'], 4) for name, mean in means.items()
        }
    return found
