# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What Dask loads in each worker; imported only where Dask is."""

from distributed import WorkerPlugin

from . import _calls


class FunctionPlugin(WorkerPlugin):
    """Keeps the function of one run in each worker process.

    Args:
        token: Name of the function.
        payload: The pickled function.
    """

    # a second registration under this name would be a mistake
    idempotent = True

    def __init__(self, token: str, payload: bytes) -> None:
        """Initialize a new FunctionPlugin instance; see the class for the arguments."""
        self.token = token
        self.payload = payload

    def setup(self, worker: object) -> None:
        """Take the function in.

        Args:
            worker: Not used.
        """
        _calls.bring(self.token, self.payload)

    def teardown(self, worker: object) -> None:
        """Drop the function.

        Args:
            worker: Not used.
        """
        _calls.forget(self.token)
