# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi export``: the backbone of a checkpoint, for others."""

import json
from typing import Any

import click


@click.command(short_help='Save the backbone of a checkpoint for others.')
@click.argument('checkpoint', type=click.Path(exists=True, dir_okay=False))
@click.argument('out', type=click.Path(dir_okay=False))
@click.option(
    '--layout',
    type=click.Choice(['official', 'timm', 'torchgeo']),
    default='official',
    show_default=True,
    help='Keys of the published files, of timm, or a checkpoint for tasks of torchgeo.',
)
@click.option(
    '--branch',
    type=click.Choice(['auto', 'student', 'teacher']),
    default='auto',
    show_default=True,
    help='Which of two networks; auto is the teacher of DINO, the student of others.',
)
@click.option('--model', help='Backbone of timm, if the checkpoint does not say.')
@click.option('--model-kwargs', help='More of its arguments, as JSON.')
@click.option(
    '--in-channels', type=int, help='Bands, if the checkpoint does not say how many.'
)
def export(
    checkpoint: str,
    out: str,
    layout: Any,
    branch: Any,
    model: str | None,
    model_kwargs: str | None,
    in_channels: int | None,
) -> None:
    """Save the backbone of CHECKPOINT as the file OUT, without heads.

    CHECKPOINT is one of a task that learned without labels. OUT is what "weights=" of
    our tasks and of torchgeo's take, and "torchgeo-hsi probe --weights". For networks
    without a spectral adapter, "official" is a plain state dict with their own keys.
    """
    from ..models import export_spectral_earth_weights
    from ..models.backbones.checkpoint_backbone import backbone_from_checkpoint
    from ..models.weights._backbone_search import has_adapter

    backbone = backbone_from_checkpoint(
        checkpoint,
        in_channels,
        branch=branch,
        model=model,
        model_kwargs=read_kwargs(model_kwargs),
    )
    export_spectral_earth_weights(backbone, out, layout)
    if layout == 'official' and not has_adapter(backbone):
        layout = 'plain state dict'
    click.echo(f'{checkpoint}: {type(backbone).__name__} written to {out} ({layout})')


def read_kwargs(text: str | None) -> dict[str, Any] | None:
    """Read arguments of a model.

    Args:
        text: A JSON object, or None.

    Returns:
        The arguments, or None.

    Raises:
        click.BadParameter: If it is no JSON object.
    """
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f'--model-kwargs is no JSON: {error}') from error
    if not isinstance(found, dict):
        raise click.BadParameter(
            '--model-kwargs has to be a JSON object, as \'{"img_size": 64}\'.'
        )
    return found


COMMANDS = (export,)
