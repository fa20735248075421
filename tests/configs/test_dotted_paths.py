# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Configurations name classes so that torchgeo finds them without our plugins."""

from collections.abc import Iterator

from configs.quick import CONFIGS, load

EXPERIMENTS = sorted(CONFIGS.rglob('*.yaml'))


def class_paths(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (v for k, v in node.items() if k == 'class_path')
        for value in node.values():
            yield from class_paths(value)
    elif isinstance(node, list):
        for value in node:
            yield from class_paths(value)


def test_dotted_paths_only() -> None:
    assert len(EXPERIMENTS) > 60
    for config in EXPERIMENTS:
        paths = list(class_paths(load(config)))
        # a task and its data
        assert len(paths) >= 2, config
        assert all('.' in path for path in paths), config
