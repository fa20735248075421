# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Plugin host: other packages add their parts through hooks.

Importing this sub-package loads no plugin; :func:`get_plugin_manager` does.
"""

from .hookspecs import Register, hookimpl
from .manager import PluginHost, PluginRecord, get_plugin_manager

__all__ = ('PluginHost', 'PluginRecord', 'Register', 'get_plugin_manager', 'hookimpl')
