# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One step that pyproject.toml cannot say: the wheel ships the configurations."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copy ``configs/`` into the package, for ``torchgeo-hsi run --config demo``.

    A checkout has them beside the package, so an editable installation needs no copy.
    """

    def run(self) -> None:
        """Build the package, then add the configurations."""
        super().run()
        if self.editable_mode:
            return
        for source, target in self._configs().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return all files that are built."""
        return [*super().get_outputs(include_bytecode), *self._configs().values()]

    def _configs(self) -> dict[str, str]:
        folder = Path(self.build_lib, 'torchgeo_hsi', 'configs')
        return {
            str(path): str(folder / path.relative_to('configs'))
            for path in sorted(Path('configs').rglob('*.yaml'))
        }


setup(cmdclass={'build_py': BuildWithConfigs})
