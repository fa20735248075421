# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Prediction of one scene after the other with one network."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.cli import LightningCLI
from torchgeo.datamodules import BaseDataModule
from torchgeo.tasks import BaseTask

from ..callbacks import GeoTIFFCubeWriter
from ..datamodules.base import HSIGeoDataModule
from ..datasets import EnMAPL2A
from ..errors import MetadataError
from ..plugins import get_plugin_manager
from ._records import OutputRecords
from ._scenes import Scene

#: What a configuration of "torchgeo fit" has besides, and prediction does not need.
_PARTS = ('seed_everything', 'model', 'data', 'trainer')

#: Trainer of a single scene: one process, and nothing but the map is written.
_TRAINER = {
    'logger': False,
    'enable_checkpointing': False,
    'enable_progress_bar': False,
    'enable_model_summary': False,
    'devices': 1,
    'num_nodes': 1,
    'strategy': 'auto',
}

_LOGGERS = ('lightning.pytorch', 'lightning.fabric', 'torchgeo_hsi.callbacks')


@dataclass
class MapScene:
    """Predicts scenes; the network is built and loaded once in each process.

    Args:
        config: Content of a configuration.
        args: More options, such as ``--data.batch_size=4``.
        checkpoint: File with the weights.
        records: Folder of the maps, and what is finished there.
    """

    config: dict[str, Any]
    args: tuple[str, ...]
    checkpoint: str
    records: OutputRecords
    _cli: Any = field(default=None, repr=False)
    _loaded: bool = False

    def __call__(self, scene: Scene) -> str:
        """Predict one scene.

        Args:
            scene: The scene.

        Returns:
            Path of its map.
        """
        output = self.records.folder / f'{scene.name}.tif'
        self.records.note(scene, finished=False)
        with _quiet(), scene.local() as path:
            self._predict(path, output)
        self.records.note(scene, finished=True)
        return str(output)

    def _predict(self, path: str, output: Path) -> None:
        if self._cli is None:
            self._cli = self._build()
        datamodule = self._cli.datamodule
        use_scene(datamodule, path)
        trainer = self._cli.instantiate_trainer(
            **_TRAINER,
            plugins=[LightningEnvironment()],
            callbacks=[GeoTIFFCubeWriter(output, **writer_options(self.config))],
        )
        trainer.predict(
            self._cli.model,
            datamodule=datamodule,
            return_predictions=False,
            # the weights and the statistics stay for the scenes that follow
            ckpt_path=None if self._loaded else self.checkpoint,
        )
        self._loaded = True

    def _build(self) -> Any:
        get_plugin_manager().load_all()
        content = {key: self.config[key] for key in _PARTS if key in self.config}
        trainer = dict(content.get('trainer') or {})
        # a checkpoint callback or a logger would look for folders of the training
        content['trainer'] = {**trainer, 'callbacks': None, 'logger': False}
        return LightningCLI(
            model_class=BaseTask,
            datamodule_class=BaseDataModule,
            seed_everything_default=0,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            run=False,
            args=['--config', json.dumps(content), *self.args],
        )


def writer_options(config: dict[str, Any]) -> dict[str, Any]:
    """Return how a configuration writes its map.

    Args:
        config: Content of the configuration.

    Returns:
        Arguments of ``GeoTIFFCubeWriter``, without the path; empty if it has none.
    """
    callbacks = (config.get('trainer') or {}).get('callbacks') or []
    for callback in callbacks if isinstance(callbacks, list) else [callbacks]:
        name = str(callback.get('class_path', '')) if isinstance(callback, dict) else ''
        if name.rpartition('.')[2] == 'GeoTIFFCubeWriter':
            options = dict(callback.get('init_args') or {})
            options.pop('output_path', None)
            # what may be replaced is known before the first scene
            return {**options, 'overwrite': True}
    return {}


def use_scene(datamodule: Any, path: str) -> None:
    """Make a data module predict one scene and need no other data.

    Args:
        datamodule: The data module.
        path: The scene.

    Raises:
        MetadataError: If it cannot be told which scene to predict.
    """
    if not isinstance(datamodule, HSIGeoDataModule):
        raise MetadataError(
            f'{type(datamodule).__name__} cannot be told which scene to predict. Use a '
            'data module of scenes, such as EnMAPL2ADataModule.'
        )
    if hasattr(datamodule, 'predict_paths'):
        datamodule.predict_paths = path
        if hasattr(datamodule, 'paths'):
            # bands may be chosen by the wavelengths of the first scene
            datamodule.paths = path
        return
    bands = getattr(datamodule, 'bands', None)
    quality = getattr(datamodule, 'quality', None)

    # a data module with a scene of its own, e.g. a simulated one
    def make_dataset(split: str) -> EnMAPL2A:
        return EnMAPL2A(path, bands=bands, quality=quality)

    vars(datamodule).update(
        make_dataset=make_dataset, roi=lambda split: None, prepare_data=lambda: None
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what is said once for each trainer."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', module=r'lightning\.')
            warnings.simplefilter('ignore', PossibleUserWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
