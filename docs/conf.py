# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Sphinx configuration."""

import os

import torchgeo_hsi

project = 'torchgeo-hsi'
author = 'torchgeo-hsi contributors'
copyright = author
version = '.'.join(torchgeo_hsi.__version__.split('.')[:2])
release = torchgeo_hsi.__version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.intersphinx',
    'sphinx.ext.mathjax',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
]
exclude_patterns = ['_build']
# every reference has to resolve; `make docs` turns warnings into errors
nitpicky = True
nitpick_ignore_regex = [
    # other projects: linked where intersphinx runs, plain text elsewhere
    (
        r'py:.*',
        (
            r'(abc|affine|click|collections|datetime|geopandas|h5py|jsonargparse|kornia'
            r'|lightly|lightning|importlib|matplotlib|np|numpy|os|pathlib|pluggy'
            r'|pyproj|rasterio|skimage|segmentation_models_pytorch|shapely|timm|torch|torchgeo|torchmetrics|torchvision'
            r'|types|typing|xml)(\..*)?'
        ),
    ),
    # names as they stand in signatures, and the standard library's own
    (
        r'py:.*',
        (
            r'(Affine|Any|ArrayLike|Axes|Callable|CRS|Figure|Iterable|Iterator|Literal'
            r'|Mapping|MutableMapping|NDArray|Path|Sequence|Tensor|Window|nn\.Module'
            r'|Self|WeightsEnum|bool|bytes|dict|float|frozenset|int|list|object|set|slice|str|tuple'
            r'|type|None|optional|I|M|P|T|Exception|UserWarning'
            r'|(File(Exists|NotFound)|Import|Key|OS|Runtime|Type|Value)Error)'
        ),
    ),
    # base classes that add nothing of their own to say, and a tuple of tensors
    (
        r'py:class',
        (
            r'torchgeo_hsi\.(datamodules\._cube_module\.CubeDataModule'
            r'|datasets\._joined\.Joinable|datasets\._scenes\.SceneDataset'
            r'|io\._writer\.AtomicWriter|metrics\._images\.ImageMetric'
            r'|models\._bands\.BandConditioned|models\._token_mask\.TokenMask'
            r'|models\.classical\._spectral_scene\.SpectralSceneModel'
            r'|samplers\._epochs\.EpochSampler|samplers\._positions\.Positions'
            r'|io\.store\.items\._Column'
            r'|metrics\._full_resolution\.FullResolutionMetric'
            r'|models\.pansharpening\.networks\._fusion_network\.FusionNetwork'
            r'|models\.pansharpening\._details\.(Equalizing|Gain)Pansharpener'
            r'|models\.pansharpening\.component_substitution\._intensity\.MeanIntensity'
            r'|models\.pixel_classification\._estimator\.EstimatorClassifier'
            r'|datamodules\._scene_module\.SceneDataModule'
            r'|datamodules\._kept_statistics\.KeptStatistics'
            r'|physics\.series\._polynomials\.PolynomialSeries'
            r'|physics\.equations\.poisson\._Poisson'
            r'|datamodules\._pixel_windows\.PixelWindows'
            r'|datamodules\._scene_graphs\.SceneGraphs)'
        ),
    ),
    # type aliases and type variables of our own, described in the concepts page
    (
        r'py:.*',
        (
            r'(torchgeo_hsi\.)?(_typing\.|datamodules\.patches\.|io\._band_tags\.'
            r'|datamodules\._equation_batches\.|physics\.gases\.matched_filter\.'
            r'|losses\.spectral_residual\.|tasks\._neural_objective\.'
            r'|graphs\.(pixel_graph|neighbors|views\._common)\.|datamodules\.graphs\.'
            r'|samplers\.pairs\.|samplers\.weighted\.|physics\.noise\.draw\.|physics\.subspace\.'
            r'|metrics\._images\.|metrics\.mssim\.|metrics\.spectral_angle\.'
            r'|models\._scene_numbers\.|io\._raster_extras\.|transforms\.crop\.'
            r'|transforms\.dihedral\.|losses\.spectral_transformation\.'
            r'|models\.pansharpening\.base\.|metrics\._full_resolution\.'
            r'|physics\.panchromatic\.|physics\.rgb\.|physics\.shifting\.'
            r'|transforms\.superresolution\.downscale\.'
            r'|models\.pansharpening\.variational\.(total_variation|hysure)\.)?'
            r'(AngleUnit|Background|Basis|BoolArray|Box|Clamp|CoefficientWeights|Color|Colormap|CubeBlur|Cubes'
            r'|FloatArray|FunctionBatch|GraphBatch|Kernel|Level|NeuralObjective'
            r'|Map|Metric|Moments|Move|MoveMethod|Numbers|PairSlice|PanRange|Scene'
            r'|PathLike|RankRule|RasterExtras|Sample|Scaling|Scores|Source|Spectrum|Split'
            r'|Weights|Window)'
        ),
    ),
]

autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

myst_enable_extensions = ['colon_fence', 'dollarmath']
myst_heading_anchors = 3

# inventories come over the network, and a build must not depend on it
intersphinx_mapping = (
    {
        'kornia': ('https://kornia.readthedocs.io/en/stable/', None),
        'lightning': ('https://lightning.ai/docs/pytorch/stable/', None),
        'matplotlib': ('https://matplotlib.org/stable/', None),
        'numpy': ('https://numpy.org/doc/stable/', None),
        'pluggy': ('https://pluggy.readthedocs.io/en/stable/', None),
        'python': ('https://docs.python.org/3', None),
        'rasterio': ('https://rasterio.readthedocs.io/en/stable/', None),
        'torch': ('https://docs.pytorch.org/docs/stable/', None),
        'torchgeo': ('https://torchgeo.readthedocs.io/en/stable/', None),
    }
    if os.environ.get('DOCS_INTERSPHINX')
    else {}
)

html_theme = 'pydata_sphinx_theme'
html_title = 'torchgeo-hsi'
html_theme_options = {'navigation_with_keys': False, 'show_toc_level': 2}
html_show_sourcelink = False
