# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Import every module of the package; say which ones fail."""

import importlib
import pkgutil
import sys

import torchgeo_hsi


def main() -> int:
    """Import all modules but ``__main__``, which would run.

    Returns:
        Exit code.
    """
    failures = {}
    names = [
        module.name
        for module in pkgutil.walk_packages(torchgeo_hsi.__path__, 'torchgeo_hsi.')
        if not module.name.endswith('.__main__')
    ]
    for name in names:
        try:
            importlib.import_module(name)
        # whatever it is, it is a report
        except Exception as error:  # noqa: BLE001
            failures[name] = f'{type(error).__name__}: {error}'
    for name, reason in failures.items():
        print(f'{name}: {reason}')
    print(f'{len(names) - len(failures)} of {len(names)} modules can be imported')
    return bool(failures)


if __name__ == '__main__':
    sys.exit(main())
