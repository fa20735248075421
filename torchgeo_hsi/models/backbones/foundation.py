# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Foundation models of torchgeo that take any bands, as backbones of timm."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import timm
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from timm.layers.patch_embed import PatchEmbed
from timm.models import VisionTransformer, build_model_with_cfg, generate_default_cfgs
from torch import Tensor, nn

from ..._compat import torchgeo_network
from ..adapters._bands import BandConditioned
from ..api import register_model

#: FWHM in nanometres of bands of which it is not known, and the least that
#: Copernicus-FM takes.
_USUAL_FWHM, _LEAST_FWHM = 10.0, 1.0


class _DOFAEmbed(nn.Module):
    """Patch embedding of DOFA: micrometres, no widths."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.embed = network.patch_embed

    def forward(self, x: Tensor, wavelength: Tensor, fwhm: Tensor | None) -> Tensor:
        tokens: Tensor = self.embed(x, wavelength)[0]
        return tokens


class _PanopticonEmbed(nn.Module):
    """Patch embedding of Panopticon: whole nanometres for each image, no widths."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.embed = network.model.patch_embed

    def forward(self, x: Tensor, wavelength: Tensor, fwhm: Tensor | None) -> Tensor:
        # it rounds down to whole nanometres, in place, which 0.665 * 1000 may be below
        chn_ids = (1000 * wavelength).round().expand(x.shape[:2]).clone()
        tokens: Tensor = self.embed({'imgs': x, 'chn_ids': chn_ids})
        return tokens


class _CopernicusEmbed(nn.Module):
    """Patch embedding of Copernicus-FM: nanometres, and widths."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.embed = network.patch_embed_spectral

    def forward(self, x: Tensor, wavelength: Tensor, fwhm: Tensor | None) -> Tensor:
        if fwhm is None:
            width = torch.full_like(wavelength, _USUAL_FWHM)
        else:
            width = (1000 * fwhm).clamp(min=_LEAST_FWHM)
        tokens: Tensor = self.embed(x, 1000 * wavelength, width)
        return tokens


class _UnknownMetadata(nn.Module):
    """What Copernicus-FM adds to all tokens where place, area and time are not known."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        for kind in ('coord', 'scale', 'time'):
            self.add_module(f'{kind}_fc', getattr(network, f'{kind}_fc'))
            self.register_parameter(f'{kind}_token', getattr(network, f'{kind}_token'))

    def forward(self, x: Tensor) -> Tensor:
        for kind in ('coord', 'scale', 'time'):
            x = x + getattr(self, f'{kind}_fc')(getattr(self, f'{kind}_token'))
        return x


class _Kind(NamedTuple):
    """How to take a network of torchgeo apart.

    Args:
        embed: Makes the patch embedding.
        core: Finds the vision transformer.
        norm: Name of its last normalization.
        pool: How it pools.
        words: Arguments of the network.
    """

    embed: Callable[[Any], nn.Module]
    core: Callable[[Any], Any]
    norm: str
    pool: Literal['avg', 'token']
    words: dict[str, Any]


_DOFA = _Kind(_DOFAEmbed, lambda net: net, 'fc_norm', 'avg', {'num_classes': 0})
_PANOPTICON = _Kind(_PanopticonEmbed, lambda net: net.model, 'norm', 'token', {})
_COPERNICUS = _DOFA._replace(embed=_CopernicusEmbed)

#: Our names; those of torchgeo, their patch size and kind.
NETWORKS: dict[str, tuple[str, int, _Kind]] = {
    'dofa_small_wl': ('dofa_small_patch16_224', 16, _DOFA),
    'dofa_base_wl': ('dofa_base_patch16_224', 16, _DOFA),
    'dofa_large_wl': ('dofa_large_patch16_224', 16, _DOFA),
    'dofa_huge_wl': ('dofa_huge_patch14_224', 14, _DOFA),
    'panopticon_vitb14_wl': ('panopticon_vitb14', 14, _PANOPTICON),
    'copernicusfm_base_wl': ('copernicusfm_base', 16, _COPERNICUS),
}


class _BandPatchEmbed(BandConditioned, PatchEmbed):
    """Patch embedding that hands images and their bands to one of torchgeo.

    Args:
        **kwargs: Arguments of ``timm.layers.PatchEmbed``.
    """

    embed: nn.Module

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        del self.proj

    def forward(self, x: Tensor) -> Tensor:
        """Turn images of any size into tokens of shape ``(B, H / P, W / P, D)``."""
        wavelength, fwhm = self.bands_of(x)
        height, width = self.dynamic_feat_size((x.shape[-2], x.shape[-1]))
        down = height * self.patch_size[0] - x.shape[-2]
        right = width * self.patch_size[1] - x.shape[-1]
        if down or right:
            x = F.pad(x, (0, right, 0, down), mode='replicate')
        # half precision, as torchgeo's own code has it
        like = next(self.embed.parameters()).dtype
        bands = [None if b is None else b.to(like) for b in (wavelength, fwhm)]
        if wavelength.ndim == 1:
            tokens = self.embed(x, *bands)
        else:
            rows = [[None] * len(x) if b is None else b for b in bands]
            tokens = torch.cat(
                [self.embed(i[None], w, f) for i, w, f in zip(x, *rows, strict=True)]
            )
        return cast(Tensor, tokens.view(len(x), height, width, -1))


class FoundationTransformer(VisionTransformer):
    """Foundation model of torchgeo for any bands, as a vision transformer of timm.

    The weights are torchgeo's, and so is the way from bands to tokens, in the unit and
    by the convention of each network: DOFA gets micrometres, Panopticon whole nanometres
    of each image, Copernicus-FM nanometres and widths. None of them gets place or time. What comes behind is timm's, so heads, probes and feature
    extraction work. Images may have any size: the last pixels are repeated to fill the
    last patches, and position embeddings are interpolated. At the size of the
    pretraining (224) the features are those of torchgeo.

    Bands come from :func:`use_bands`, or are set here. Panopticon compares all bands of
    each patch, so its memory grows with their number.

    If you use these models in your research, please cite the following papers:

    * DOFA: https://arxiv.org/abs/2403.15356
    * Panopticon: https://arxiv.org/abs/2503.10845
    * Copernicus-FM: https://arxiv.org/abs/2503.11849

    Example:
        >>> import timm, torch
        >>> from torchgeo_hsi.models import use_bands
        >>> model = timm.create_model('dofa_small_wl').eval()
        >>> batch = {'image': torch.rand(1, 3, 64, 64),
        ...     'wavelength': torch.tensor([0.665, 0.56, 0.49])}
        >>> with use_bands(model, batch):
        ...     model(batch['image']).shape
        torch.Size([1, 384])
    """

    def __init__(
        self,
        network: str = 'dofa_base_wl',
        in_chans: int = 202,
        img_size: int = 224,
        num_classes: int = 0,
        wavelength: ArrayLike | None = None,
        fwhm: ArrayLike | None = None,
        pretrained: bool = False,
    ) -> None:
        """Initialize a new FoundationTransformer instance.

        Args:
            network: One of our names of these models, see ``timm.list_models('*_wl')``.
            in_chans: Number of bands of images that come without wavelengths, taken as
                for :class:`WavelengthAdapter`.
            img_size: Height and width in pixels of the images that the position
                embeddings are for; the weights are for 224.
            num_classes: Number of outputs of the head; 0 for features.
            wavelength: Centres in micrometres of the bands of images that come without
                any, shape ``(C,)``.
            fwhm: Their full widths at half maximum in micrometres, shape ``(C,)``.
            pretrained: Whether to load torchgeo's weights, which are downloaded.

        Raises:
            BandMismatchError: If the numbers of bands differ.
            ImportError: If torchgeo is not installed.
            RuntimeError: If torchgeo has no weights of this network.
            UnitError: If the values are no micrometres.
        """
        name, patch_size, kind = NETWORKS[network]
        whole = torchgeo_network(name, pretrained, img_size=img_size, **kind.words)
        core = kind.core(whole)
        embed_dim = int(core.cls_token.shape[-1])
        super().__init__(
            img_size=img_size,
            patch_size=patch_size,
            in_chans=in_chans,
            num_classes=num_classes,
            global_pool=kind.pool,
            embed_dim=embed_dim,
            num_heads=1,
            # the blocks are torchgeo's
            depth=0,
            dynamic_img_size=True,
            dynamic_img_pad=True,
            embed_layer=_BandPatchEmbed,
        )
        self.patch_embed.set_default_bands(in_chans, wavelength, fwhm)
        self.patch_embed.embed = kind.embed(whole)
        self.cls_token, self.pos_embed = core.cls_token, core.pos_embed
        if kind is _COPERNICUS:
            self.norm_pre = _UnknownMetadata(whole)
        self.blocks = nn.Sequential(*core.blocks)
        self.add_module(kind.norm, getattr(core, kind.norm))
        self.feature_info = [
            {'module': f'blocks.{i}', 'num_chs': embed_dim, 'reduction': patch_size}
            for i in range(len(self.blocks))
        ]


default_cfgs = generate_default_cfgs(
    {
        name: {
            'input_size': (202, 224, 224),
            'num_classes': 0,
            'mean': (0.0,),
            'std': (1.0,),
            'first_conv': None,
            'classifier': 'head',
        }
        for name in NETWORKS
    }
)


def _entry_point(name: str) -> Callable[..., FoundationTransformer]:
    """Make the function that builds a network."""

    def entry(pretrained: bool = False, **kwargs: Any) -> FoundationTransformer:
        if kwargs.get('wavelength') is not None:
            kwargs.setdefault('in_chans', len(kwargs['wavelength']))
        model = build_model_with_cfg(
            # timm would look for the weights itself
            partial(FoundationTransformer, name, pretrained=pretrained),
            name,
            False,
            feature_cfg={'out_indices': 3, 'feature_cls': 'getter'},
            **kwargs,
        )
        return model

    entry.__name__ = entry.__qualname__ = name
    entry.__doc__ = (
        f'{NETWORKS[name][0]} of torchgeo, for any bands.\n\n'
        'Args:\n'
        "    pretrained: Whether to load torchgeo's weights, which are downloaded.\n"
        '    **kwargs: Arguments of FoundationTransformer and of timm.\n\n'
        'Returns:\n'
        '    The model, or a feature extractor with ``features_only=True``.\n'
    )
    return entry


for _name in NETWORKS:
    _builder = _entry_point(_name)
    globals()[_name] = _builder
    register_model(timm.models.register_model(_builder))
