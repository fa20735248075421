# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Any timm backbone behind a spectral adapter."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import timm
from timm.models import generate_default_cfgs
from torch import Tensor, nn

from ..adapters.spectral_adapter import SpectralAdapter
from ..api import register_model
from ..weights.load import meet_torchgeo

#: Backbones of timm that are registered with the adapter in front, as ``spec_<name>``,
#: and arguments that suit tiles of 128 pixels.
BACKBONES: dict[str, dict[str, Any]] = {
    'convnext_small': {},
    'convnext_tiny': {},
    'convnextv2_tiny': {},
    'efficientnet_b0': {},
    'efficientnet_b2': {},
    'mobilenetv3_large_100': {},
    'pvt_v2_b2': {},
    'regnety_016': {},
    'resnet101': {},
    'resnet18': {},
    'resnet34': {},
    'swin_small_patch4_window7_224': {'img_size': 128, 'strict_img_size': False},
    'swin_tiny_patch4_window7_224': {'img_size': 128, 'strict_img_size': False},
}

#: What a user of the wrapper may ask about the backbone inside.
_INHERITED = frozenset({'feature_info', 'output_fmt'})


def _make_head(features: int, num_classes: int) -> nn.Module:
    """Make the last layer."""
    return nn.Linear(features, num_classes) if num_classes > 0 else nn.Identity()


def _prefixed(pattern: Any) -> Any:
    """Put the backbone's prefix into patterns for parameter names."""
    if isinstance(pattern, str):
        return re.sub(r'(?<!\[)\^', r'^backbone\\.', pattern)
    if isinstance(pattern, list | tuple):
        return type(pattern)(_prefixed(part) for part in pattern)
    return pattern


class SpectralAdapterBackbone(nn.Module):
    """Spectral adapter in front of any backbone of timm.

    The backbone takes the 128 feature maps of the adapter for an image with 128
    channels. The adapter keeps the resolution, so all strides are those of the
    backbone.

    The keys of the state dict are those of the adapter behind ``spectral_adapter.``,
    those of the backbone without its head behind ``backbone.``, and ``head.*``. The
    published weights of an adapter can be loaded alone:
    ``load_spectral_earth_weights(model, path, adapter_only=True)``.

    Example:
        >>> import torch
        >>> model = SpectralAdapterBackbone('resnet18', in_chans=80, num_classes=5)
        >>> model.eval()(torch.rand(1, 80, 64, 64)).shape
        torch.Size([1, 5])
    """

    backbone: Any

    def __init__(
        self,
        model_name: str,
        in_chans: int = 202,
        num_classes: int = 0,
        pretrained: bool = False,
        features_only: bool = False,
        adapter_layer: Callable[[int], nn.Module] = SpectralAdapter,
        **kwargs: Any,
    ) -> None:
        """Initialize a new SpectralAdapterBackbone instance.

        Args:
            model_name: Name of a model in timm, with the tag of its weights if wanted.
            in_chans: Number of bands of the input, at least 75 for the usual adapter.
            num_classes: Number of outputs of the head; 0 for features.
            pretrained: Whether to load the weights that timm has for the backbone. Its
                first convolution then repeats the three RGB kernels; the adapter has
                random weights.
            features_only: Whether :meth:`forward` returns a list of feature maps.
            adapter_layer: Makes the adapter from the number of bands; it puts out 128
                feature maps.
            **kwargs: Arguments of the backbone and of ``timm.create_model``.

        Raises:
            BandMismatchError: If the adapter cannot take *in_chans* bands.
        """
        super().__init__()
        self.in_chans = in_chans
        self.num_classes = 0 if features_only else num_classes
        self.spectral_adapter = adapter_layer(in_chans)
        if features_only:
            kwargs['features_only'] = True
        else:
            kwargs['num_classes'] = 0
        self.backbone = timm.create_model(
            model_name,
            pretrained=pretrained,
            in_chans=SpectralAdapter.out_chans,
            **kwargs,
        )
        if not features_only:
            # some networks widen their features once more behind the pooling
            self.num_features = self.head_hidden_size = self.backbone.head_hidden_size
            # torchgeo's trainers look for features in the last but one child
            self.embedding = nn.Identity()
            self.head = _make_head(self.num_features, num_classes)
        # timm describes the input of a model by its configuration
        cfg = dict(self.backbone.pretrained_cfg, first_conv=None)
        cfg['input_size'] = (in_chans, *cfg['input_size'][1:])
        cfg['mean'], cfg['std'] = (0.0,), (1.0,)
        self.pretrained_cfg = self.default_cfg = cfg

    def __getattr__(self, name: str) -> Any:
        """Look up what is known about the backbone: strides and formats."""
        if name in _INHERITED and 'backbone' in self._modules:
            return getattr(self.backbone, name)
        return super().__getattr__(name)

    def forward(self, x: Tensor) -> Any:
        """Run the adapter and the backbone.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Logits of shape ``(B, num_classes)``, features of shape ``(B, F)`` without
            a head, or a list of feature maps with ``features_only``.

        Raises:
            BandMismatchError: If the number of bands is not ``in_chans``.
        """
        features: Any = self.backbone(self.spectral_adapter(x))
        if isinstance(features, list):
            return features
        return self.head(self.embedding(features))

    def forward_features(self, x: Tensor) -> Tensor:
        """Run everything except pooling and head.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Feature maps or tokens, as the backbone makes them.
        """
        return cast(Tensor, self.backbone.forward_features(self.spectral_adapter(x)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool and classify.

        Args:
            x: Output of :meth:`forward_features`.
            pre_logits: Whether to stop in front of the last layer.

        Returns:
            Logits of shape ``(B, num_classes)``, or features ``(B, F)``.
        """
        x = self.embedding(self.backbone.forward_head(x))
        return x if pre_logits else cast(Tensor, self.head(x))

    def forward_intermediates(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return feature maps of several levels.

        Args:
            x: Images of shape ``(B, C, H, W)``.
            *args: As for the backbone.
            **kwargs: As for the backbone.

        Returns:
            What the backbone returns.
        """
        x = self.spectral_adapter(x)
        return self.backbone.forward_intermediates(x, *args, **kwargs)

    def get_classifier(self) -> nn.Module:
        """Return the last layer of the head."""
        return self.head

    def reset_classifier(
        self, num_classes: int, global_pool: str | None = None
    ) -> None:
        """Replace the head.

        Args:
            num_classes: Number of outputs; 0 for features.
            global_pool: Pooling in front of it; as before by default.
        """
        if global_pool is not None:
            self.backbone.reset_classifier(0, global_pool)
        self.num_classes = num_classes
        like = next(self.parameters())
        head = _make_head(self.num_features, num_classes)
        self.head = head.to(device=like.device, dtype=like.dtype)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory in training, where the backbone can.

        Args:
            enable: Whether activations are computed again in the backward pass.
        """
        self.backbone.set_grad_checkpointing(enable)

    def no_weight_decay(self) -> set[str]:
        """Return the parameters that should not decay."""
        names: set[str] = getattr(self.backbone, 'no_weight_decay', set)()
        return {f'backbone.{name}' for name in names}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return patterns that sort parameters into layers, for timm's optimizers.

        Args:
            coarse: As for the backbone.
        """
        groups = self.backbone.group_matcher(coarse)
        groups = {name: _prefixed(pattern) for name, pattern in groups.items()}
        groups['stem'] = rf'{groups["stem"]}|^spectral_adapter'
        return groups


def backbone_cfg(name: str) -> Any:
    """Describe a backbone behind an adapter, as timm wants it.

    Args:
        name: A key of :data:`BACKBONES`.

    Returns:
        The configuration.
    """
    cfg = timm.get_pretrained_cfg(name)
    assert cfg is not None
    size = BACKBONES[name].get('img_size', cfg.input_size[1])
    return replace(
        cfg,
        # the entry point loads the weights of the backbone; these would not fit
        url='',
        hf_hub_id=None,
        architecture=None,
        tag=None,
        input_size=(202, size, size),
        test_input_size=None,
        mean=(0.0,),
        std=(1.0,),
        num_classes=0,
        first_conv=None,
    )


def _entry_point(name: str) -> Callable[..., SpectralAdapterBackbone]:
    """Make the function that builds a backbone with the adapter in front."""

    def build(pretrained: bool = False, **kwargs: Any) -> SpectralAdapterBackbone:
        meet_torchgeo()
        kwargs = {**BACKBONES[name], **kwargs}
        return SpectralAdapterBackbone(name, pretrained=pretrained, **kwargs)

    build.__name__ = build.__qualname__ = f'spec_{name}'
    build.__doc__ = (
        f'{name} of timm behind a spectral adapter.\n\n'
        'Args:\n'
        "    pretrained: Whether to load timm's weights into the backbone.\n"
        '    **kwargs: Arguments of SpectralAdapterBackbone and of the backbone.\n\n'
        'Returns:\n'
        '    The model, or a feature extractor with ``features_only=True``.\n'
    )
    return build


default_cfgs = generate_default_cfgs(
    {f'spec_{name}': backbone_cfg(name) for name in BACKBONES}
)

for _name in BACKBONES:
    _builder = _entry_point(_name)
    globals()[_builder.__name__] = _builder
    register_model(timm.models.register_model(_builder))
