# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files of weights that go into the package, and what their cards say of a training."""

import hashlib
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import nn

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / 'torchgeo_hsi' / 'models' / 'pretrained'

#: Largest file that goes into the package.
LIMIT = 3 * 2**20

#: What the configurations of all weights that ship name, and what they exclude.
CUBES = """\
- Data: seven AVIRIS scenes of the ABU benchmark (abu-airport-1 and 2, abu-beach-1 and 2,
  abu-urban-1 to 3), fourteen EnMAP tiles of Potsdam (of 32 x 32 pixels; the EnMAP-Box
  publishes them), and a simulated EnMAP scene of 128 x 128 pixels (seed 1).
- Held back: abu-urban-4, abu-airport-3, jasper_ridge, the EnMAP tiles 96_0 and 128_128.
  The tiles touch those of the training; the AVIRIS scenes are other places.\
"""


def save(network: nn.Module, path: Path) -> None:
    """Write the weights and their check sum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    # safetensors lets nobody else read it
    path.chmod(0o644)
    if path.stat().st_size > LIMIT:
        raise SystemExit(f'{path} is larger than {LIMIT} bytes')
    sums = path.parent / 'SHA256SUMS'
    lines = sums.read_text('utf-8').splitlines() if sums.exists() else []
    lines = [line for line in lines if line.split()[-1] != path.name]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lines = sorted([*lines, f'{digest}  {path.name}'], key=lambda line: line.split()[1])
    sums.write_text('\n'.join(lines) + '\n', 'utf-8')


def read_config(kind: str, model: str, name: str) -> tuple[Path, dict[str, Any]]:
    """Read the configuration that some weights were trained by.

    Args:
        kind: Folder of configurations.
        model: Name of the network.
        name: Name of the weights.

    Returns:
        The file, and what is in it.
    """
    path = ROOT / 'configs' / kind / f'{model}_{name}.yaml'
    return path, yaml.safe_load(path.read_text('utf-8'))


def training_facts(
    content: dict[str, Any], checkpoint: Path, network: nn.Module
) -> dict[str, str]:
    """Say how a network was trained, in the words of its card.

    Args:
        content: The configuration.
        checkpoint: The checkpoint.
        network: The network.

    Returns:
        Words by name.
    """
    data, model = (content[part]['init_args'] for part in ('data', 'model'))
    state = torch.load(checkpoint, map_location='cpu', weights_only=True)
    loss = model['loss']
    if isinstance(loss, dict):
        loss = ' + '.join(f'{weight:g} {name}' for name, weight in loss.items())
    return {
        **{key: str(data[key]) for key in ('batch_size', 'patch_size', 'num_bands')},
        'seed': str(content['seed_everything']),
        'steps': f'{state["global_step"]:,}',
        'loss': loss,
        'lr': f'{model["lr"]:g}',
        'torch': torch.__version__.split('+')[0],
        'parameters': f'{sum(p.numel() for p in network.parameters()):,}',
        'cubes': CUBES,
    }
