# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where the standard benchmarks come from."""

#: Page of the Computational Intelligence Group of the University of the Basque Country.
EHU = 'https://www.ehu.eus/ccwintco/index.php/Hyperspectral_Remote_Sensing_Scenes'

#: Page of the RSIDEA group of Wuhan University.
RSIDEA = 'https://rsidea.whu.edu.cn/resource_WHUHi_sharing.htm'

#: Page of the University of Houston.
GRSS = 'https://machinelearning.ee.uh.edu/?page_id=459'
