# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cut the pictures of the first page out of those of the pages that they lead to."""

from _pages import DOCS, save_small
from PIL import Image

#: Picture of a page, and the boxes of two of its parts: left, top, right, bottom.
CARDS = {
    'map': ('tasks/images/potsdam.png', (4, 136, 446, 578), (454, 136, 896, 578)),
    'few_labels': (
        'classification/images/simulated.png',
        (303, 53, 597, 346),
        (603, 53, 897, 346),
    ),
    'denoising': (
        'denoising/images/aviris.png',
        (54, 28, 225, 199),
        (234, 28, 405, 199),
    ),
    'pansharpening': (
        'pansharpening/images/scene.png',
        (5, 23, 160, 178),
        (665, 23, 820, 178),
    ),
    'superresolution': (
        'superresolution/images/x2.png',
        (4, 23, 213, 232),
        (437, 23, 646, 232),
    ),
    'gases': ('images/gases_potsdam.png', (42, 52, 188, 198), (626, 52, 772, 198)),
}

#: Side of a part, and the gap between two, in pixels.
SIDE, GAP = 280, 4


def main() -> None:
    """Make all cards."""
    folder = DOCS / 'images' / 'cards'
    for name, (source, *boxes) in CARDS.items():
        card = Image.new('RGB', (2 * SIDE + GAP, SIDE), 'white')
        with Image.open(DOCS / source) as picture:
            for i, box in enumerate(boxes):
                part = picture.convert('RGB').crop(box)
                part = part.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
                card.paste(part, (i * (SIDE + GAP), 0))
        path = folder / f'{name}.png'
        save_small(card, path, limit=100_000)


if __name__ == '__main__':
    main()
