# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Sphinx configuration."""

import importlib.util
import os
import sys
from pathlib import Path

import torchgeo_hsi

# directives of ours: results of benchmarks, and the drawing of the rooms
sys.path.insert(0, str(Path(__file__).parent / '_ext'))

project = 'torchgeo-hsi'
author = 'torchgeo-hsi contributors'
copyright = author
version = '.'.join(torchgeo_hsi.__version__.split('.')[:2])
release = torchgeo_hsi.__version__

# notebooks are read by myst_nb, which reads Markdown as well
notebooks = importlib.util.find_spec('myst_nb') is not None

extensions = [
    'architecture',
    'benchmark_results',
    'page_summaries',
    'myst_nb' if notebooks else 'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.intersphinx',
    'sphinx.ext.mathjax',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'sphinx_design',
]
exclude_patterns = ['_build', '_ext', 'scripts', 'tutorials/.*', '**.ipynb_checkpoints']
# the tests run them; pages show what is stored
nb_execution_mode = 'off'
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
    # private base classes, which add nothing of their own to say, and private aliases
    (r'py:.*', r'torchgeo_hsi\.(\w+\.)*_\w+(\.\w+)*'),
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
html_static_path = ['_static']
html_css_files = ['custom.css']
html_favicon = '_static/mark.svg'
html_theme_options = {
    'logo': {
        'text': 'torchgeo-hsi',
        'image_light': '_static/mark.svg',
        'image_dark': '_static/mark.svg',
    },
    'header_links_before_dropdown': 8,
    'navigation_with_keys': False,
    'show_toc_level': 2,
    'show_nav_level': 1,
    'collapse_navigation': False,
    'navbar_align': 'left',
    'footer_start': ['copyright'],
    'footer_end': ['theme-version'],
}
# the first page shows pictures where others have a list of pages
html_sidebars = {'index': []}
html_show_sourcelink = False
