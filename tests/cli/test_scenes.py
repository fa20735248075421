# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes behind files, folders, lists and STAC."""

import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from torchgeo_hsi.cli._records import OutputRecords, check_outputs
from torchgeo_hsi.cli._scenes import Scene, find_scenes, scene_name
from torchgeo_hsi.errors import (
    DownloadError,
    EmptyDataError,
    MetadataError,
    OutputError,
)


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x')


def names(scenes: list[Scene]) -> list[str]:
    return [scene.name for scene in scenes]


def test_folders_are_searched_and_products_count_once(tmp_path: Path) -> None:
    touch(
        tmp_path,
        'b/ENMAP01-7-SPECTRAL_IMAGE.TIF',
        'b/ENMAP01-7-QL_VNIR.TIF',
        'b/ENMAP01-7-METADATA.XML',
        'a/deep/flight.hdr',
        'a/deep/flight.img',
        'a/deep/notes.txt',
        'c/EMIT_L2A_RFL_001_1.nc',
        'c/EMIT_L2A_MASK_001_1.nc',
        'c/EMIT_L2A_RFLUNCERT_001_1.nc',
        '.hidden/x.tif',
        'c/.part.tif',
    )
    scenes = find_scenes([str(tmp_path)])
    assert names(scenes) == ['flight', 'ENMAP01-7', 'EMIT_L2A_RFL_001_1']
    assert scenes[1].path == str(tmp_path / 'b/ENMAP01-7-SPECTRAL_IMAGE.TIF')
    assert names(find_scenes([str(tmp_path)], match='E*')) == names(scenes)[1:]
    # named twice is there once
    again = find_scenes([str(tmp_path / 'a'), str(tmp_path)])
    assert names(again) == names(scenes)


def test_names() -> None:
    assert scene_name('/x/ENMAP01-DT1_V01.02_SPECTRAL_IMAGE_COG.tiff') == (
        'ENMAP01-DT1_V01.02'
    )
    assert scene_name('/x/product.V01.02/') == 'product.V01.02'
    assert scene_name('https://host/a/scene.tif?token=a/b.nc') == 'scene'
    assert scene_name('/x/scene.zarr') == 'scene'


def test_same_names_are_told_apart_by_folder(tmp_path: Path) -> None:
    touch(tmp_path, 'a/image.tif', 'b/image.tif', 'b/other.tif')
    assert names(find_scenes([str(tmp_path)])) == ['a_image', 'b_image', 'other']
    touch(tmp_path, 'c/a/image.tif')
    with pytest.raises(MetadataError, match='outputs of the same name, a_image'):
        find_scenes([str(tmp_path)])


def test_lists(tmp_path: Path) -> None:
    touch(tmp_path, 'one.tif', 'two.tif', 'elsewhere/three.tif')
    file = tmp_path / 'scenes.txt'
    three = tmp_path / 'elsewhere' / 'three.tif'
    file.write_text(f'# of May\none.tif\n\n  {three}\nhttps://host/four.tif\n')
    scenes = find_scenes([str(file), str(tmp_path / 'two.tif')])
    assert names(scenes) == ['one', 'three', 'four', 'two']
    assert scenes[0].path == str(tmp_path / 'one.tif')
    # one that is missing is found missing when its turn comes
    file.write_text('gone.tif\none.tif\n')
    assert names(find_scenes([str(file)])) == ['gone', 'one']
    file.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(MetadataError, match='no list of paths'):
        find_scenes([str(file)])


def test_lists_in_lists(tmp_path: Path) -> None:
    touch(tmp_path, 'one.tif')
    first, second = tmp_path / 'first.txt', tmp_path / 'second.txt'
    first.write_text('second.txt\nsecond.txt\n')
    second.write_text('one.tif\n')
    assert names(find_scenes([str(first)])) == ['one']
    around = f'../{tmp_path.name}/first.txt'
    for back in ('second.txt', 'first.txt', str(first), around):
        second.write_text(f'one.tif\n{back}\n')
        with pytest.raises(MetadataError, match=r'leads back to itself\. Remove'):
            find_scenes([str(first)])


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='nothing at'):
        find_scenes([str(tmp_path / 'gone')])
    with pytest.raises(EmptyDataError, match='No scene in'):
        find_scenes([str(tmp_path)])
    touch(tmp_path, 'one.tif')
    with pytest.raises(EmptyDataError, match=r"whose name matches 'E\*'"):
        find_scenes([str(tmp_path)], match='E*')
    with pytest.raises(MetadataError, match='not read from the net'):
        find_scenes(['https://host/items.json'])


# STAC; written by pystac, which the package itself does not use


def make_item(name: str, **assets: Any) -> Any:
    from datetime import UTC, datetime

    pystac = pytest.importorskip('pystac')
    box = {'type': 'Point', 'coordinates': [13.0, 52.4]}
    item = pystac.Item(
        name, box, [13, 52, 13, 52], datetime(2023, 7, 1, tzinfo=UTC), {}
    )
    for key, (href, options) in assets.items():
        item.add_asset(key, pystac.Asset(href, **options))
    return item


COG = 'image/tiff; application=geotiff; profile=cloud-optimized'


def test_catalog_of_files(tmp_path: Path) -> None:
    pystac = pytest.importorskip('pystac')
    catalog = pystac.Catalog('root', 'scenes')
    child = pystac.Catalog('child', 'of 2023')
    catalog.add_child(child)
    image = tmp_path / 'files' / 'one.tif'
    touch(tmp_path, 'files/one.tif', 'files/two.tif')
    for name in ('one', 'two'):
        child.add_item(
            make_item(
                name,
                image=(str(image.with_name(f'{name}.tif')), {'roles': ['data']}),
                quality=('quality.tif', {'roles': ['metadata'], 'media_type': COG}),
            )
        )
    catalog.normalize_hrefs(str(tmp_path / 'stac'))
    catalog.make_all_asset_hrefs_relative()
    catalog.save(pystac.CatalogType.SELF_CONTAINED)
    scenes = find_scenes([str(tmp_path / 'stac' / 'catalog.json')])
    assert names(scenes) == ['one', 'two']
    assert [Path(scene.path) for scene in scenes] == [image, image.with_name('two.tif')]
    assert not scenes[0].beside
    (single,) = find_scenes([str(tmp_path / 'stac/child/two/two.json')])
    assert Path(single.path) == image.with_name('two.tif')


def save(path: Path, *items: Any) -> str:
    pystac = pytest.importorskip('pystac')
    pystac.ItemCollection(items).save_object(str(path))
    return str(path)


def test_item_collection_of_addresses(tmp_path: Path) -> None:
    base = 'https://host/ENMAP01-1'
    file = save(
        tmp_path / 'items.json',
        make_item(
            'ENMAP01/1',
            image=(f'{base}-SPECTRAL_IMAGE_COG.TIF', {'media_type': COG}),
            defects=(f'{base}-QL_QUALITY_DEFECTS_COG.TIF', {'media_type': COG}),
            metadata=(f'{base}-METADATA.XML', {'roles': ['metadata']}),
            thumbnail=(f'{base}-QL_VNIR.JPG', {'roles': ['thumbnail']}),
        ),
    )
    (scene,) = find_scenes([file])
    assert scene == Scene(
        f'{base}-SPECTRAL_IMAGE_COG.TIF',
        'ENMAP01_1',
        (f'{base}-QL_QUALITY_DEFECTS_COG.TIF', f'{base}-METADATA.XML'),
    )
    (chosen,) = find_scenes([file], asset='defects')
    assert chosen.path == f'{base}-QL_QUALITY_DEFECTS_COG.TIF'
    with pytest.raises(
        MetadataError, match=r"no asset 'cube'\. It has: image, defects"
    ):
        find_scenes([file], asset='cube')


def test_image_that_is_not_clear(tmp_path: Path) -> None:
    file = save(
        tmp_path / 'items.json', make_item('x', a=('a.tif', {}), b=('b.tif', {}))
    )
    with pytest.raises(MetadataError, match='Choose with --asset: a, b'):
        find_scenes([file])
    (scene,) = find_scenes([file], asset='b')
    assert scene.path == str(tmp_path / 'b.tif')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{', 'is not JSON'),
        ('[1]', 'expected an object'),
        ('{"type": "Topology"}', "got 'Topology'"),
        ('{"type": "FeatureCollection", "features": [{}]}', 'they have no assets'),
        (
            '{"type": "Catalog", "links": [{"rel": "item", "href": "https://h/i.json"}]}',
            'not read from the net',
        ),
        (
            '{"type": "Catalog", "links": [{"rel": "item", "href": "./gone.json"}]}',
            'to which a STAC catalog links',
        ),
        (
            '{"type": "Catalog", "links": [{"rel": "child", "href": "c.json"}]}',
            'No scene',
        ),
    ],
)
def test_files_that_are_no_stac(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / 'c.json'
    file.write_text(content)
    with pytest.raises((MetadataError, EmptyDataError), match=message):
        find_scenes([str(file)])


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = partial(Silent, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{httpd.server_port}'
        httpd.shutdown()
        thread.join()


def test_addresses_are_copied_with_their_product(tmp_path: Path, server: str) -> None:
    touch(tmp_path, 'x/a.tif', 'x/a.xml')
    scene = Scene(f'{server}/x/a.tif', 'a', (f'{server}/x/a.xml',))
    assert scene.absolute() == scene
    assert scene.state() is None
    with scene.local() as path:
        assert Path(path).read_bytes() == b'x'
        assert {file.name for file in Path(path).parent.iterdir()} == {'a.tif', 'a.xml'}
    assert not Path(path).exists()
    with (
        pytest.raises(DownloadError, match=r'gone\.tif cannot be read'),
        Scene(f'{server}/x/gone.tif', 'gone').local(),
    ):
        pass


# which outputs are finished


def test_records(tmp_path: Path) -> None:
    touch(tmp_path, 'in/a.tif', 'in/b.tif')
    scenes = find_scenes([str(tmp_path / 'in')])
    records = OutputRecords(tmp_path / 'out', {'weights': 'abc'})

    def todo(recipe: Any = None, overwrite: bool = False) -> list[str]:
        chosen = OutputRecords(tmp_path / 'out', recipe) if recipe else records
        return names(check_outputs(chosen, scenes, '.tif', overwrite))

    assert todo() == ['a', 'b']
    records.note(scenes[0], finished=False)
    touch(tmp_path, 'out/a.tif')
    # killed between the output and the note of its end: ours, and made again
    assert todo() == ['a', 'b']
    records.note(scenes[0], finished=True)
    assert todo() == ['b']
    with pytest.raises(OutputError, match='made in another way'):
        todo({'weights': 'xyz'})
    assert todo({'weights': 'xyz'}, overwrite=True) == ['a', 'b']
    (tmp_path / 'in/a.tif').write_bytes(b'longer')
    assert todo() == ['a', 'b']
    touch(tmp_path, 'out/b.tif')
    with pytest.raises(OutputError, match='is not one of ours'):
        todo()
    with pytest.raises(OutputError, match='would replace it'):
        check_outputs(OutputRecords(tmp_path / 'in', {}), scenes, '.tif', True)
    record = json.loads((tmp_path / 'out/.torchgeo-hsi/a.json').read_text())
    assert record['source'][0] == str(tmp_path / 'in/a.tif')
