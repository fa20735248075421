# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Polygons of labels in GeoPackage, Shapefile and GeoParquet."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from fuzz import reading
from fuzz.case import EITHER, REFUSED, Case, altered, find
from fuzz.changes import changes, valid_names

_READ = reading.features

#: Databases and tables are read where they are whole.
WHOLE = ('cut at nine tenths', 'last byte missing')

#: What is done to the tables of a GeoPackage.
_TABLES: dict[str, tuple[str, str]] = {
    'no features': ('DELETE FROM labels', REFUSED),
    'shapes are noise': ("UPDATE labels SET geom = x'0123456789'", REFUSED),
    'shapes are text': ("UPDATE labels SET geom = 'here'", REFUSED),
    'shapes are gone': ('UPDATE labels SET geom = NULL', REFUSED),
    'shape of 2**32 points': (
        "UPDATE labels SET geom = substr(geom, 1, 49) || x'FFFFFFFF'",
        REFUSED,
    ),
    'class is a word': ("UPDATE labels SET crop = 'oak'", EITHER),
    'class is bytes': ("UPDATE labels SET crop = x'00FF'", EITHER),
    'class is gone': ('UPDATE labels SET crop = NULL', REFUSED),
    'CRS unknown': ('UPDATE gpkg_geometry_columns SET srs_id = 99', EITHER),
    'CRS is no WKT': ("UPDATE gpkg_spatial_ref_sys SET definition = 'PROJCS['", EITHER),
    'no list of layers': ('DROP TABLE gpkg_contents', EITHER),
    'no list of shapes': ('DROP TABLE gpkg_geometry_columns', EITHER),
    'table is gone': ('DROP TABLE labels', REFUSED),
    'table leads to itself': (
        'DROP TABLE labels; CREATE VIEW labels AS SELECT * FROM labels',
        REFUSED,
    ),
}


def vector_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    for suffix in ('gpkg', 'shp', 'parquet'):
        kind = f'polygons, .{suffix}'
        file = f'labels.{suffix}'
        for case in valid_names(kind, 'vectors', file, _READ, heavy=True):
            # GDAL leaves line breaks out of names
            breaks = 'line break' in case.name and suffix != 'parquet'
            yield replace(case, outcome=EITHER) if breaks else case
        yield from changes(kind, 'vectors', file, _READ, vague=WHOLE, heavy=True)
    for name, (command, outcome) in _TABLES.items():

        def edit(path: Path, command: str = command) -> None:
            with closing(sqlite3.connect(path)) as base:
                triggers = base.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'trigger'"
                ).fetchall()
                for (trigger,) in triggers:
                    base.execute(f'DROP TRIGGER {trigger}')
                base.executescript(command)
                base.commit()

        build = altered('labels.gpkg', edit)
        yield Case('polygons, .gpkg', name, 'vectors', build, _READ, outcome, True)
    for beside in ('dbf', 'shx', 'prj'):
        # the shapes are found without their index
        vague = [f'labels.{beside}'] if beside == 'shx' else []
        for case in changes(
            'polygons, .shp',
            'vectors',
            f'labels.{beside}',
            _READ,
            opened='labels.shp',
            heavy=True,
        ):
            how = case.outcome if case.outcome != REFUSED and not vague else EITHER
            name = f'.{beside}: {case.name}'
            yield Case(case.kind, name, case.valid, case.build, _READ, how, True)

        def gone(path: Path, beside: str = beside) -> None:
            find(path.parent, f'labels.{beside}').unlink()

        how = REFUSED if beside == 'prj' else EITHER
        build = altered('labels.shp', gone)
        yield Case(
            'polygons, .shp', f'no .{beside}', 'vectors', build, _READ, how, True
        )
