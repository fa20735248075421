# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small texts: statistics, lists, tables, catalogs and configurations."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from fuzz import reading
from fuzz.case import EITHER, READ, REFUSED, Case, Change, Open, replaced, rewritten
from fuzz.changes import changes, valid_names
from fuzz.runner import SECRET

#: Texts are read to any line, so that a cut may leave something whole.
_CUT = (
    'cut at a tenth',
    'cut in the middle',
    'cut at nine tenths',
    'last byte missing',
)
_NOT_TEXT = ('wrong magic', 'noise', 'gzip of it')


def _field(**values: Any) -> Change:
    """Change fields of a JSON object."""

    def change(content: bytes) -> bytes:
        return json.dumps(json.loads(content) | values).encode()

    return change


def _within(*keys: str, value: Any) -> Change:
    """Change a field deeper in a JSON object."""

    def change(content: bytes) -> bytes:
        found = json.loads(content)
        part = found
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value
        return json.dumps(found).encode()

    return change


def _const(content: bytes) -> Change:
    return lambda _: content


_DEEP = b'[' * 200_000 + b']' * 200_000
JSON: dict[str, tuple[Change, str]] = {
    'JSON 200 000 deep': (_const(_DEEP), REFUSED),
    'JSON is a list': (_const(b'[]'), REFUSED),
    'JSON is null': (_const(b'null'), REFUSED),
    'JSON is NaN': (_const(b'NaN'), REFUSED),
    'number of 5000 digits': (_const(b'9' * 5000), REFUSED),
    'Latin-1': (lambda c: c[:-2] + b',"x":"\xe4"}', REFUSED),
}

_STATISTICS: dict[str, tuple[Change, str]] = {
    'other format': (_field(format='cookies'), REFUSED),
    'version 99': (_field(version=99), REFUSED),
    'version is a list': (_field(version=[]), REFUSED),
    'no bands': (_field(bands=[], mean=[], std=[], min=[], max=[], count=[]), EITHER),
    'a band too few': (_field(bands=['B1']), REFUSED),
    'bands are a number': (_field(bands=2), REFUSED),
    'mean too short': (_field(mean=[1.0]), REFUSED),
    'mean is a word': (_field(mean='much'), REFUSED),
    'mean of words': (_field(mean=['a', 'b']), REFUSED),
    'mean in two axes': (_field(mean=[[1.0], [2.0]]), REFUSED),
    'mean of unequal rows': (_field(mean=[[1.0], [2.0, 3.0]]), REFUSED),
    'mean NaN': (_field(mean=[float('nan'), 1.0]), REFUSED),
    'mean null': (_field(mean=[None, 1.0]), REFUSED),
    'mean null without pixels': (_field(mean=[None, 1.0], count=[0, 9]), READ),
    'least above the largest': (_field(min=[9.0, 1.0]), REFUSED),
    'more valid pixels than pixels': (_field(pixels=3), REFUSED),
    'count negative': (_field(count=[-1, 9]), REFUSED),
    'quantile of 7': (_field(quantiles={'7': [1.0, 2.0]}), REFUSED),
    'std negative': (_field(std=[-1.0, 1.0]), REFUSED),
    'std infinite': (_field(std=[float('inf'), 1.0]), REFUSED),
    'count beyond 64 bits': (_field(count=[10**30, 1]), REFUSED),
    'count is a fraction': (_field(count=[0.5, 1]), EITHER),
    'pixels are a word': (_field(pixels='many'), REFUSED),
    'pixels are infinite': (_field(pixels=float('inf')), REFUSED),
    'quantile is a word': (_field(quantiles={'half': [1, 2]}), REFUSED),
    'quantiles too short': (_field(quantiles={'0.5': [1]}), EITHER),
    'quantiles are a list': (_field(quantiles=[1, 2]), REFUSED),
    'covariance is no triangle': (_field(covariance=[[1, 2], [3]]), REFUSED),
    'covariance of another size': (_field(covariance=[[1], [1, 2], [1, 2, 3]]), EITHER),
    'covariance is a number': (_field(covariance=7), REFUSED),
    'wavelengths in nm': (_field(wavelength_um=[500, 600]), REFUSED),
    'wavelengths too few': (_field(wavelength_um=[0.5]), REFUSED),
    'no mean': (
        lambda c: json.dumps(
            {k: v for k, v in json.loads(c).items() if k != 'mean'}
        ).encode(),
        REFUSED,
    ),
}

_SPLIT: dict[str, tuple[Change, str]] = {
    'name leads out': (replaced('0004740/00000.tif', '../00000.tif'), REFUSED),
    'name leads far out': (
        replaced('0004740/00000.tif', '../../../etc/a.tif'),
        REFUSED,
    ),
    'absolute name': (replaced('0004740/00000.tif', '/etc/a.tif'), REFUSED),
    'drive': (replaced('0004740/00000.tif', 'C:\\a\\b.tif'), REFUSED),
    'other suffix': (replaced('00000.tif', '00000.exe'), REFUSED),
    'name twice': (replaced('00000.tif', '00001.tif'), REFUSED),
    'NUL in a name': (replaced('00000.tif', '0\0.tif'), EITHER),
    'only blank lines': (_const(b'\n \n\t\n'), REFUSED),
    'lines end as in Windows': (lambda c: c.replace(b'\n', b'\r\n'), READ),
    'byte order mark': (lambda c: b'\xef\xbb\xbf' + c, READ),
    'UTF-16': (lambda c: c.decode().encode('utf-16'), REFUSED),
    'Latin-1': (lambda c: c + b'\xe4/\xf6.tif\n', REFUSED),
}

_SENSOR: dict[str, tuple[Change, str]] = {
    'no title': (replaced('# title: Small\n', ''), REFUSED),
    'no source': (replaced('# source: here\n', ''), REFUSED),
    'no bands': (lambda c: c[: c.index(b'B1')], REFUSED),
    'unit unknown': (replaced('wavelength_nm', 'wavelength_ell'), REFUSED),
    'no unit': (replaced('wavelength_nm', 'wavelength'), REFUSED),
    'units differ': (replaced('fwhm_nm', 'fwhm_um'), REFUSED),
    'nm said to be um': (lambda c: c.replace(b'_nm', b'_um'), REFUSED),
    'wavelength NaN': (replaced('500', 'nan'), REFUSED),
    'wavelength infinite': (replaced('500', 'inf'), REFUSED),
    'wavelength is a word': (replaced('500', 'blue'), REFUSED),
    'wavelength negative': (replaced('500', '-500'), REFUSED),
    'name twice': (replaced('B2', 'B1'), REFUSED),
    'row too short': (replaced('B2,600,10,1', 'B2,600'), REFUSED),
    'flag is a word': (replaced('10,1', '10,perhaps'), REFUSED),
    'a field of 1 MB': (replaced('B2', 'B' * 2**20), REFUSED),
    'quote without an end': (replaced('B2', '"B2'), REFUSED),
    'Latin-1': (lambda c: c.replace(b'Small', b'Kl\xe4in'), REFUSED),
    'lines end as in Windows': (lambda c: c.replace(b'\n', b'\r\n'), READ),
    'byte order mark': (lambda c: b'\xef\xbb\xbf' + c, READ),
}

_GAS: dict[str, tuple[Change, str]] = {
    'no title': (replaced('# title: Methane\n', ''), REFUSED),
    'mass is a word': (replaced('0.016', 'light'), REFUSED),
    'mass NaN': (replaced('0.016', 'nan'), REFUSED),
    'mass negative': (replaced('0.016', '-1'), REFUSED),
    'column missing': (replaced('power,', 'might,'), REFUSED),
    'coefficient is a word': (replaced(',0.1,', ',much,'), REFUSED),
    'coefficient NaN': (replaced(',0.1,', ',nan,'), REFUSED),
    'wavenumber twice': (replaced('4005', '4000'), REFUSED),
    'wavenumbers unsorted': (replaced('4005', '9000'), REFUSED),
    'Latin-1': (lambda c: c.replace(b'Methane', b'M\xe4thane'), REFUSED),
    'no rows': (lambda c: c[: c.index(b'4000,')], REFUSED),
}

_SIMULATED: dict[str, tuple[Change, str]] = {
    'scene gone': (_field(scene=None), REFUSED),
    'unknown word': (_within('scene', 'colour', value=1), REFUSED),
    'size is a text': (_within('scene', 'height', value='large'), REFUSED),
    'size is negative': (_within('scene', 'height', value=-1), REFUSED),
    'cloud cover NaN': (_within('scene', 'cloud_cover', value=float('nan')), REFUSED),
    'parts are a number': (_field(parts=7), REFUSED),
    'parts are missing': (_field(parts=['TRUTH_CLASSES']), REFUSED),
    'part leads out': (_field(parts=['../../x']), REFUSED),
    'plume is a list': (_within('scene', 'plume', value=[1]), REFUSED),
    'plume of an unknown gas': (
        _within('scene', 'plume', value={'gas': 'ether', 'rate': 1, 'wind': 1}),
        REFUSED,
    ),
}

_STAC: dict[str, tuple[Change, str]] = {
    'no assets': (_field(assets={}), REFUSED),
    'assets gone': (
        lambda c: json.dumps(
            {k: v for k, v in json.loads(c).items() if k != 'assets'}
        ).encode(),
        REFUSED,
    ),
    'assets are a list': (_field(assets=[1]), REFUSED),
    'asset is null': (_within('assets', 'image', value=None), REFUSED),
    'asset without an address': (
        _within('assets', 'image', 'href', value=None),
        REFUSED,
    ),
    'address is a number': (_within('assets', 'image', 'href', value=7), REFUSED),
    'name leads out': (_field(id='../../x'), READ),
    'name is a list': (_field(id=[1, 2]), READ),
    'catalog that links to itself': (
        _const(
            json.dumps(
                {
                    'type': 'Catalog',
                    'stac_version': '1.0.0',
                    'id': 'c',
                    'links': [{'rel': 'child', 'href': './item.json'}],
                }
            ).encode()
        ),
        EITHER,
    ),
    'link to a missing item': (
        _const(
            b'{"type": "Catalog", "id": "c", '
            b'"links": [{"rel": "item", "href": "./gone.json"}]}'
        ),
        REFUSED,
    ),
    'link to the net': (
        _const(
            b'{"type": "Catalog", "id": "c", '
            b'"links": [{"rel": "item", "href": "http://localhost:9/a.json"}]}'
        ),
        REFUSED,
    ),
    'links are a number': (
        _const(b'{"type": "Catalog", "id": "c", "links": 7}'),
        REFUSED,
    ),
    'link without an address': (
        _const(b'{"type": "Catalog", "id": "c", "links": [{"rel": "item"}]}'),
        REFUSED,
    ),
    'features are a number': (
        _const(b'{"type": "FeatureCollection", "features": 7}'),
        REFUSED,
    ),
    'feature is a number': (
        _const(b'{"type": "FeatureCollection", "features": [7]}'),
        REFUSED,
    ),
    'other type': (_field(type='Cookie'), REFUSED),
}

_RUN = f'!!python/object/apply:os.system ["echo {SECRET} > ran"]'
_YAML: dict[str, tuple[Change, str]] = {
    'runs a command': (_const(f'dataset: {_RUN}\n'.encode()), REFUSED),
    'object of Python': (_const(b'dataset: !!python/object:os.path {}\n'), REFUSED),
    'name of Python': (_const(b'dataset: !!python/name:os.system\n'), REFUSED),
    'unknown tag': (_const(b'dataset: !cookie {a: 1}\n'), REFUSED),
    'bomb of aliases': (
        _const(
            b'a: &a [x, x, x, x, x, x, x, x, x]\n'
            + b''.join(
                b'%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n'
                % (98 + i, 98 + i, *([97 + i] * 9))
                for i in range(8)
            )
        ),
        REFUSED,
    ),
    'alias of itself': (
        _const(b'dataset: &a {class_path: x, init_args: *a}\n'),
        EITHER,
    ),
    'unknown alias': (_const(b'dataset: *a\n'), REFUSED),
    '5000 deep': (_const(b'[' * 5000), REFUSED),
    '5000 deep and closed': (_const(b'[' * 5000 + b']' * 5000), REFUSED),
    'tabs': (_const(b'dataset:\n\tclass_path: x\n'), REFUSED),
    'two documents': (_const(b'--- {a: 1}\n--- {b: 1}\n'), REFUSED),
    'a list': (_const(b'- 1\n- 2\n'), REFUSED),
    'a text': (_const(b'hello\n'), REFUSED),
    'Latin-1': (_const(b'dataset: {class_path: "\xe4"}\n'), REFUSED),
    'control characters': (_const(b'dataset: {class_path: "\x01"}\n'), REFUSED),
    'merge of a number': (_const(b'dataset: {<<: 7, class_path: x}\n'), REFUSED),
    'unhashable key': (_const(b'? [a, {b: 1}]\n: 1\n'), REFUSED),
    'date that is none': (_const(b'dataset: 2024-13-45\n'), REFUSED),
    'lines end as in Windows': (lambda c: c.replace(b'\n', b'\r\n'), READ),
    'byte order mark': (lambda c: b'\xef\xbb\xbf' + c, READ),
}


def _list(
    kind: str,
    valid: str,
    file: str,
    read: Open,
    own: dict[str, tuple[Change, str]],
    **options: Any,
) -> Iterator[Case]:
    heavy = bool(options.get('heavy'))
    yield from valid_names(kind, valid, file, read, heavy=heavy)
    yield from changes(kind, valid, file, read, **options)
    for name, (change, outcome) in own.items():
        build: Callable[..., Any] = rewritten(file, change)
        yield Case(kind, name, valid, build, read, outcome, heavy)


def text_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    end: dict[str, Any] = {'fine': ('last byte missing',)}
    yield from _list(
        'statistics file',
        'statistics',
        'statistics.json',
        reading.statistics,
        JSON | _STATISTICS,
        **end,
    )
    some = ('one byte', 'eight bytes', *_CUT)
    yield from _list(
        'list of patches',
        'texts',
        'split.txt',
        reading.split,
        _SPLIT,
        vague=some,
        heavy=True,
    )
    yield from _list(
        'table of bands', 'texts', 'sensor.csv', reading.sensor, _SENSOR, vague=_CUT
    )
    yield from _list('table of a gas', 'gas', 'gas.csv', reading.gas, _GAS, vague=_CUT)
    yield from _list(
        'simulated scene',
        'texts',
        'item-TRUTH.JSON',
        reading.simulated,
        JSON | _SIMULATED,
        leave=('links in a circle', 'link to nothing'),
    )
    yield from _list('STAC', 'texts', 'item.json', reading.stac, JSON | _STAC)
    yield from _list(
        'configuration',
        'texts',
        'config.yaml',
        reading.dataset_config,
        _YAML,
        vague=(*_CUT, 'twice'),
        leave=(),
    )


__all__ = ('text_cases',)
