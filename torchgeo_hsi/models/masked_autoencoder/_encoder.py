# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The encoder of a masked autoencoder: a vision transformer on visible tokens."""

from typing import Any, cast

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models import VisionTransformer, checkpoint_seq
from torch import Tensor, nn

from ._decoder import init_linear
from ._token_mask import TokenMask, pixel_index, sine_cosine_grid


def check_backbone(backbone: Any) -> VisionTransformer:
    """Check that a masked autoencoder can be built around a backbone.

    Args:
        backbone: A network.

    Returns:
        The backbone.

    Raises:
        TypeError: If it is no vision transformer that works on patches.
    """
    embed: Any = getattr(backbone, 'patch_embed', None)
    proj = getattr(embed, 'proj', None)
    plain = (
        isinstance(backbone, VisionTransformer)
        and isinstance(proj, nn.Conv2d)
        and tuple(proj.kernel_size) == tuple(proj.stride) == tuple(embed.patch_size)
        and getattr(backbone, 'pos_embed', None) is not None
        and getattr(backbone, 'attn_pool', None) is None
        and not hasattr(backbone, 'dist_token')
    )
    if not plain:
        raise TypeError(
            'A masked autoencoder needs a plain vision transformer of timm (class '
            'VisionTransformer, with patches, position embeddings, and pooling by '
            f'token or average), got {type(backbone).__name__}. Use spec_vit_tiny, '
            'spec_vit_small, spec_vit_base, or for other networks another task.'
        )
    return cast(VisionTransformer, backbone)


@torch.no_grad()
def initialize_backbone(vit: VisionTransformer) -> None:
    """Draw the weights of a backbone, as masked autoencoders do.

    The adapter keeps those that it has.

    Args:
        vit: The backbone, changed in place.
    """
    vit.blocks.apply(init_linear)
    weight = vit.patch_embed.proj.weight
    nn.init.xavier_uniform_(weight.view(len(weight), -1))
    for token in (vit.cls_token, vit.reg_token):
        if token is not None:
            nn.init.normal_(token, std=0.02)
    inside = 0 if vit.no_embed_class else vit.num_prefix_tokens
    rows, columns = vit.patch_embed.grid_size
    positions = cast(Tensor, vit.pos_embed)
    positions[:, :inside] = 0
    positions[0, inside:] = sine_cosine_grid(rows, columns, vit.embed_dim)


def embed_visible(
    vit: VisionTransformer, image: Tensor, mask: TokenMask, valid: Tensor | None
) -> Tensor:
    """Turn visible patches into tokens.

    Args:
        vit: The backbone.
        image: Images of shape ``(B, C, H, W)``.
        mask: What is hidden; bands become 0.
        valid: True for pixels that count, shape ``(B, H, W)``, or None; others become 0.

    Returns:
        Tokens of shape ``(B, K, D)``, which do not know their place.
    """
    embed: Any = vit.patch_embed
    if mask.hidden.shape[1]:
        # visible patches side by side are an image, too, one patch high
        size = tuple(embed.patch_size)
        index = pixel_index(mask.keep, size, image.shape[-1] // size[1])
        flat = index.transpose(1, 2).flatten(1)
        wanted = flat[:, None].expand(-1, image.shape[1], -1)
        pixels = image.flatten(2).gather(2, wanted)
        image = pixels.reshape(*pixels.shape[:2], size[0], -1)
        if valid is not None:
            valid = valid.flatten(1).gather(1, flat).view(-1, *image.shape[-2:])
    if valid is not None:
        image = image.masked_fill(~valid.unsqueeze(1), 0)
    if mask.bands is not None:
        image = image.masked_fill(mask.bands[..., None, None], 0)
    return cast(Tensor, embed.norm(embed.proj(image).flatten(2).mT))


def token_positions(
    vit: VisionTransformer, grid: tuple[int, int]
) -> tuple[Tensor | None, Tensor]:
    """Return what a backbone adds to tokens for their place.

    Args:
        vit: The backbone.
        grid: Rows and columns of tokens.

    Returns:
        Tokens without a place, shape ``(1, T, D)`` or None, and what is added to the
        others, shape ``(N, D)``.
    """
    tokens = (vit.cls_token, vit.reg_token)
    found: list[Tensor] = [token for token in tokens if token is not None]
    prefix = torch.cat(found, dim=1) if found else None
    inside = 0 if vit.no_embed_class else vit.num_prefix_tokens
    places = cast(Tensor, vit.pos_embed)
    if vit.dynamic_img_size:
        old = vit.patch_embed.grid_size
        places = resample_abs_pos_embed(
            places, new_size=list(grid), old_size=old, num_prefix_tokens=inside
        )
    if prefix is not None and inside:
        prefix = prefix + places[:, :inside]
    return prefix, places[0, inside:]


def run_blocks(vit: VisionTransformer, prefix: Tensor | None, x: Tensor) -> Tensor:
    """Run the blocks of a backbone, and its last normalization.

    Args:
        vit: The backbone.
        prefix: Tokens without a place, shape ``(1, T, D)``, or None.
        x: The other tokens, shape ``(B, K, D)``.

    Returns:
        Tokens of shape ``(B, T + K, D)``.
    """
    if prefix is not None:
        x = torch.cat((prefix.expand(len(x), -1, -1).to(x.dtype), x), dim=1)
    x = vit.norm_pre(vit.pos_drop(x))
    x = checkpoint_seq(vit.blocks, x) if vit.grad_checkpointing else vit.blocks(x)
    # with average pooling, timm normalizes behind the mean
    norm = vit.fc_norm if isinstance(vit.norm, nn.Identity) else vit.norm
    return cast(Tensor, norm(x))
