# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Vision transformers behind a spectral adapter, as in SpectralEarth."""

from collections.abc import Callable
from typing import Any, cast

import timm
import torch
from timm.layers.patch_embed import PatchEmbed, resample_patch_embed
from timm.models import VisionTransformer, generate_default_cfgs
from torch import Tensor, nn

from ..adapters.spectral_adapter import SpectralAdapter
from ..api import register_model
from ..weights.load import build_backbone


class SpectralProjection(nn.Conv2d):
    """Patch projection that runs the spectral adapter first.

    For the rest of the world it is a convolution over the bands of the image: it takes
    *in_channels* bands. Its weight acts on the features of the adapter. The adapter is
    not a child: it belongs to the network, so that each parameter has one name.

    Args:
        embed_dim: Width of the tokens.
        patch_size: Size of the patches.
        bias: Whether there is a bias.
    """

    def __init__(
        self, embed_dim: int, patch_size: tuple[int, int], bias: bool = True
    ) -> None:
        """Initialize a new SpectralProjection instance."""
        features = SpectralAdapter.out_chans
        super().__init__(features, embed_dim, patch_size, stride=patch_size, bias=bias)
        self._adapter: tuple[nn.Module, ...] = ()

    def bind(self, adapter: nn.Module, in_chans: int) -> None:
        """Set the adapter to run.

        Args:
            adapter: The adapter, a child of the network.
            in_chans: Number of bands that it takes.
        """
        # copies and pickles of the network keep the identity of what a tuple holds
        self._adapter = (adapter,)
        self.in_channels = in_chans

    def forward(self, input: Tensor) -> Tensor:
        """Turn images into tokens.

        Args:
            input: Images of shape ``(B, C, H, W)``.

        Returns:
            Tokens of shape ``(B, D, H / P, W / P)``.
        """
        return super().forward(self._adapter[0](input))


class SpectralPatchEmbed(PatchEmbed):
    """Patch embedding whose projection runs the spectral adapter first.

    Args:
        embed_dim: Width of the tokens.
        bias: Whether the projection has a bias.
        **kwargs: Arguments of ``timm.layers.PatchEmbed``.
    """

    def __init__(self, embed_dim: int = 768, bias: bool = True, **kwargs: Any) -> None:
        """Initialize a new SpectralPatchEmbed instance."""
        super().__init__(embed_dim=embed_dim, bias=bias, **kwargs)
        like = self.proj.weight
        proj = SpectralProjection(embed_dim, self.patch_size, bias)
        self.proj = proj.to(device=like.device, dtype=like.dtype)

    def set_input_size(
        self,
        img_size: int | tuple[int, int] | None = None,
        patch_size: int | tuple[int, int] | None = None,
    ) -> None:
        """Change the size of images or patches; the weights are resampled.

        Args:
            img_size: New size of the images; as before by default.
            patch_size: New size of the patches; as before by default.
        """
        size = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
        if size is not None and tuple(size) != self.patch_size:
            old = cast(SpectralProjection, self.proj)
            self.patch_size = tuple(size)
            proj = SpectralProjection(
                old.out_channels, self.patch_size, old.bias is not None
            ).to(old.weight)
            with torch.no_grad():
                proj.weight.copy_(resample_patch_embed(old.weight, list(size)))
                if old.bias is not None:
                    cast(Tensor, proj.bias).copy_(old.bias)
            proj.bind(old._adapter[0], old.in_channels)
            self.proj = proj.train(old.training)
            # another patch size is another grid, even for images of the same size
            img_size, self.img_size = img_size or self.img_size, None
        super().set_input_size(img_size=img_size)


class SpecVisionTransformer(VisionTransformer):
    """Vision transformer behind a spectral adapter.

    A timm ``VisionTransformer`` in every respect, except that it takes bands: the
    adapter turns them into 128 feature maps, of which the patch projection makes
    tokens. So trainers that handle vision transformers (torchgeo's MAE, layer-wise
    learning rates, feature extraction) work. The keys of the state dict are those of
    the published checkpoints without their prefix ``vit_core.``.

    If you use this model in your research, please cite the following paper:

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Example:
        >>> import torch
        >>> model = SpecVisionTransformer(
        ...     in_chans=224, img_size=32, embed_dim=48, depth=2, num_heads=3)
        >>> model.eval()(torch.rand(1, 224, 32, 32)).shape
        torch.Size([1, 48])
    """

    #: Whether a state dict was loaded into this network.
    has_loaded_weights = False

    def __init__(
        self,
        in_chans: int = 202,
        img_size: int | tuple[int, int] = 128,
        patch_size: int | tuple[int, int] = 4,
        num_classes: int = 0,
        adapter_layer: Callable[[int], nn.Module] = SpectralAdapter,
        **kwargs: Any,
    ) -> None:
        """Initialize a new SpecVisionTransformer instance.

        Args:
            in_chans: Number of bands of the input, at least 75 for the usual adapter.
            img_size: Height and width of the images in pixels.
            patch_size: Height and width of what becomes one token.
            num_classes: Number of outputs of the head; 0 for features.
            adapter_layer: Makes the adapter from the number of bands; it puts out 128
                feature maps.
            **kwargs: Arguments of timm's ``VisionTransformer``: ``embed_dim``,
                ``depth``, ``num_heads``, ``global_pool`` (``'token'`` or ``'avg'``),
                ``dynamic_img_size`` (any size of image, with interpolated position
                embeddings), ...

        Raises:
            BandMismatchError: If the adapter cannot take *in_chans* bands.
        """
        adapter = adapter_layer(in_chans)
        kwargs.setdefault('embed_layer', SpectralPatchEmbed)
        super().__init__(
            img_size=img_size,
            patch_size=patch_size,
            in_chans=SpectralAdapter.out_chans,
            num_classes=num_classes,
            **kwargs,
        )
        self.in_chans = in_chans
        # torchgeo's loader takes the first child for the first layer
        children = dict(self.named_children())
        for name in children:
            delattr(self, name)
        like = self.cls_token if self.cls_token is not None else self.pos_embed
        self.spectral_adapter = adapter if like is None else adapter.to(like)
        for name, child in children.items():
            self.add_module(name, child)
        self._bind()

    def _bind(self) -> None:
        """Make the patch projection run the adapter of this very network."""
        self.patch_embed.proj.bind(self.spectral_adapter, self.in_chans)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; another adapter (wrapped, compiled) is taken over."""
        super().__setattr__(name, value)
        if name == 'spectral_adapter' and hasattr(self, 'patch_embed'):
            self._bind()

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load weights, and remember it: some trainers would start from random ones.

        Args:
            *args: As for ``torch.nn.Module``.
            **kwargs: As for ``torch.nn.Module``.

        Returns:
            Missing and unexpected keys.
        """
        result = super().load_state_dict(*args, **kwargs)
        self.has_loaded_weights = True
        return result

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return patterns that sort parameters into layers, for timm's optimizers.

        Args:
            coarse: Has no effect: blocks are the layers. For compatibility.
        """
        groups: dict[str, Any] = super().group_matcher(coarse)
        groups['stem'] += '|^spectral_adapter'
        return groups


#: Width, depth and number of heads.
SIZES = {
    'spec_vit_tiny': (192, 12, 3),
    'spec_vit_small': (384, 12, 6),
    'spec_vit_base': (768, 12, 12),
    'spec_vit_large': (1024, 24, 16),
    'spec_vit_huge': (1280, 32, 16),
    'spec_vit_giant': (1536, 40, 24),
}

default_cfgs = generate_default_cfgs(
    {
        name: {
            'input_size': (202, 128, 128),
            'fixed_input_size': True,
            'num_classes': 0,
            'mean': (0.0,),
            'std': (1.0,),
            # nothing to adapt: the weights fit any number of bands
            'first_conv': None,
            'classifier': 'head',
        }
        for name in SIZES
    }
)


def build_vit(name: str, pretrained: bool, **kwargs: Any) -> SpecVisionTransformer:
    """Build one of the named sizes.

    Args:
        name: Name in timm; what is behind the size does not matter.
        pretrained: Whether to load weights.
        **kwargs: Arguments of :class:`SpecVisionTransformer` and of timm.

    Returns:
        The model, or a feature extractor.
    """
    embed_dim, depth, num_heads = SIZES['_'.join(name.split('_')[:3])]
    args = {
        'embed_dim': embed_dim,
        'depth': depth,
        'num_heads': num_heads,
        # tiles of any size, without a rounding error at 128 x 128
        'dynamic_img_size': True,
        **kwargs,
    }
    feature_cfg = {'out_indices': 3, 'feature_cls': 'getter'}
    model = build_backbone(
        SpecVisionTransformer, name, pretrained, feature_cfg=feature_cfg, **args
    )
    return cast(SpecVisionTransformer, model)


@register_model
@timm.models.register_model
def spec_vit_tiny(pretrained: bool = False, **kwargs: Any) -> SpecVisionTransformer:
    """Tiny vision transformer behind a spectral adapter (6.0 M parameters).

    Args:
        pretrained: Whether to load weights; needs their file, see
            :func:`load_spectral_earth_weights`.
        **kwargs: Arguments of :class:`SpecVisionTransformer` and of timm's
            ``create_model``.

    Returns:
        The model, or a feature extractor with ``features_only=True``.
    """
    return build_vit('spec_vit_tiny', pretrained, **kwargs)


@register_model
@timm.models.register_model
def spec_vit_small(pretrained: bool = False, **kwargs: Any) -> SpecVisionTransformer:
    """Small vision transformer behind a spectral adapter (22.5 M parameters).

    Args:
        pretrained: Whether to load weights; needs their file, see
            :func:`load_spectral_earth_weights`.
        **kwargs: Arguments of :class:`SpecVisionTransformer` and of timm's
            ``create_model``.

    Returns:
        The model, or a feature extractor with ``features_only=True``.
    """
    return build_vit('spec_vit_small', pretrained, **kwargs)


@register_model
@timm.models.register_model
def spec_vit_base(pretrained: bool = False, **kwargs: Any) -> SpecVisionTransformer:
    """Base vision transformer behind a spectral adapter (87.5 M parameters).

    Args:
        pretrained: Whether to load weights; needs their file, see
            :func:`load_spectral_earth_weights`.
        **kwargs: Arguments of :class:`SpecVisionTransformer` and of timm's
            ``create_model``.

    Returns:
        The model, or a feature extractor with ``features_only=True``.
    """
    return build_vit('spec_vit_base', pretrained, **kwargs)


@register_model
@timm.models.register_model
def spec_vit_large(pretrained: bool = False, **kwargs: Any) -> SpecVisionTransformer:
    """Large vision transformer behind a spectral adapter (305.5 M parameters).

    Args:
        pretrained: Whether to load weights; needs their file, see
            :func:`load_spectral_earth_weights`.
        **kwargs: Arguments of :class:`SpecVisionTransformer` and of timm's
            ``create_model``.

    Returns:
        The model, or a feature extractor with ``features_only=True``.
    """
    return build_vit('spec_vit_large', pretrained, **kwargs)


@register_model
@timm.models.register_model
def spec_vit_huge(pretrained: bool = False, **kwargs: Any) -> SpecVisionTransformer:
    """Huge vision transformer behind a spectral adapter (633.7 M parameters).

    Args:
        pretrained: Whether to load weights; needs their file, see
            :func:`load_spectral_earth_weights`.
        **kwargs: Arguments of :class:`SpecVisionTransformer` and of timm's
            ``create_model``.

    Returns:
        The model, or a feature extractor with ``features_only=True``.
    """
    return build_vit('spec_vit_huge', pretrained, **kwargs)


@register_model
@timm.models.register_model
def spec_vit_giant(pretrained: bool = False, **kwargs: Any) -> SpecVisionTransformer:
    """Giant vision transformer behind a spectral adapter (1.14 G parameters).

    Args:
        pretrained: Whether to load weights; needs their file, see
            :func:`load_spectral_earth_weights`.
        **kwargs: Arguments of :class:`SpecVisionTransformer` and of timm's
            ``create_model``.

    Returns:
        The model, or a feature extractor with ``features_only=True``.
    """
    return build_vit('spec_vit_giant', pretrained, **kwargs)
