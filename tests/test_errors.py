# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Errors can be caught in our way and in Python's."""

import pickle

import pytest

from torchgeo_hsi import errors
from torchgeo_hsi.errors import HSIError, HSIWarning, UnknownNameError

BUILTIN = {
    'BandMismatchError': ValueError,
    'CorruptFileError': OSError,
    'DownloadError': OSError,
    'EmptyDataError': ValueError,
    'JobError': RuntimeError,
    'MetadataError': ValueError,
    'NameClashError': ValueError,
    'NotFiniteError': ArithmeticError,
    'OutputError': OSError,
    'PluginError': RuntimeError,
    'UnitError': ValueError,
    'UnknownNameError': KeyError,
}


def leaves(root: type) -> dict[str, type]:
    return {cls.__name__: cls for cls in root.__subclasses__()}


def test_every_error_is_listed() -> None:
    assert set(leaves(HSIError)) == set(BUILTIN)


@pytest.mark.parametrize(('name', 'builtin'), BUILTIN.items())
def test_both_styles_catch(name: str, builtin: type[Exception]) -> None:
    error = getattr(errors, name)
    arguments = ('band', 'B0', ['B1']) if name == 'UnknownNameError' else ('text',)
    for caught in (HSIError, builtin):
        with pytest.raises(caught):
            raise error(*arguments)


@pytest.mark.parametrize('cls', leaves(HSIWarning).values())
def test_warnings_are_for_users(cls: type[Warning]) -> None:
    assert issubclass(cls, UserWarning)


def test_unknown_name_suggests_close_ones() -> None:
    error = UnknownNameError('sensor', 'enmpa', ['prisma', 'enmap', 'emit'])
    assert str(error) == (
        "Unknown sensor 'enmpa'. Did you mean enmap? Known: emit, enmap, prisma."
    )


def test_unknown_name_in_another_case() -> None:
    error = UnknownNameError('sensor', 'EnMAP', ['prisma', 'enmap', 'ENMAP', 'emit'])
    assert 'Did you mean ENMAP, enmap?' in str(error)


def test_unknown_name_without_a_close_one() -> None:
    error = UnknownNameError('sensor', 'xyz', [])
    assert str(error) == "Unknown sensor 'xyz'. Known: none."


def test_unknown_name_survives_pickling() -> None:
    # as it has to on its way out of a worker process
    error = UnknownNameError('sensor', 'enmpa', ['enmap'])
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is UnknownNameError
    assert str(copy) == str(error)
