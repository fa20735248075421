# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One shard of a conversion, as a worker process does it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import OutputError
from ..io.store import StoreSpec, write_shard
from ._convert_source import Parts
from ._store_samples import encode_samples


@dataclass
class ShardResult:
    """What came of a shard.

    Args:
        failures: Index and error of each item that could not be read.
        attempts: How often each of them was tried.
    """

    failures: dict[int, str] = field(default_factory=dict)
    attempts: int = 1


@dataclass(frozen=True)
class WriteShard:
    """Reads the samples of a shard and writes it.

    Args:
        parts: The samples.
        out: Folder of the store.
        spec: What the store holds.
        retries: How often a sample that cannot be read is tried again.
        deadly: Error of each sample that must not be tried, because it ends processes.
    """

    parts: Parts
    out: str
    spec: StoreSpec
    retries: int
    deadly: dict[int, str] = field(default_factory=dict)

    def __call__(self, shard: int) -> ShardResult:
        """Write one shard.

        Args:
            shard: Its number.

        Returns:
            What could not be read.

        Raises:
            OutputError: If it cannot be written.
        """
        indexes = self.spec.shard_range(shard)
        self._check_space(len(indexes))
        result = ShardResult(attempts=self.retries + 1)
        samples = []
        for index in indexes:
            sample, error = self._read(index)
            samples.append(sample)
            if sample is None:
                result.failures[index] = error
        arrays, items = self._encode(indexes, samples, result)
        described = [
            None if item is None else {**item, **known}
            for item, known in zip(items, self.parts.describe(indexes), strict=True)
        ]
        write_shard(self.out, shard, arrays, described)
        return result

    def _encode(
        self, indexes: Sequence[int], samples: list[Any], result: ShardResult
    ) -> tuple[Any, Any]:
        """Turn samples into arrays; one that does not fit is left out."""
        try:
            return encode_samples(self.spec, samples)
        except Exception:  # noqa: BLE001
            for place, index in enumerate(indexes):
                try:
                    encode_samples(self.spec, [samples[place]])
                except Exception as error:  # noqa: BLE001
                    samples[place] = None
                    result.failures[index] = _describe(error)
        return encode_samples(self.spec, samples)

    def _check_space(self, count: int) -> None:
        """Refuse to read a shard for which there is no room at all."""
        # nothing is compressed to less than a tenth
        need = count * sum(item.nbytes for item in self.spec.fields.values()) // 10
        free = shutil.disk_usage(self.out).free
        if free < need:
            raise OutputError(
                f'{free / 2**20:.0f} MiB are free in {self.out}, not enough for a '
                'shard. Free some space and run again.'
            )

    def _read(self, index: int) -> tuple[Any, str]:
        if index in self.deadly:
            return None, self.deadly[index]
        error = ''
        for _ in range(self.retries + 1):
            try:
                return self.parts[index], ''
            # any dataset, any damage
            except Exception as caught:  # noqa: BLE001
                error = _describe(caught)
        return None, error


@dataclass(frozen=True)
class TrySample:
    """Reads samples, to find out which of them end the process.

    Args:
        parts: The samples.
    """

    parts: Parts

    def __call__(self, index: int) -> None:
        """Read one sample.

        Args:
            index: Its index.
        """
        try:
            self.parts[index]
        # whatever can be caught is not deadly
        except Exception:  # noqa: BLE001
            return


def _describe(error: Exception) -> str:
    return f'{type(error).__name__}: {" ".join(str(error).split())}'
