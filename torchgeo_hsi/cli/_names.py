# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Names of our parts, for shells, which do not wait for torch.

A test compares them with the registries and says what to change.
"""


def _read(text: str) -> dict[str, tuple[str, ...]]:
    """Read lines of a title, then of its names."""
    found: dict[str, tuple[str, ...]] = {}
    title = ''
    for line in text.splitlines():
        if line.startswith(' '):
            found[title] += tuple(line.split())
        elif line:
            title = line
            found[title] = ()
    return found


#: Models by their kind, as ``torchgeo-hsi models`` says it.
MODELS = _read("""
backbone
    copernicusfm_base_wl dofa_base_wl dofa_huge_wl dofa_large_wl dofa_small_wl
    panopticon_vitb14_wl spec_convnext_small spec_convnext_small_series
    spec_convnext_small_wl spec_convnext_tiny spec_convnext_tiny_series
    spec_convnext_tiny_wl spec_convnextv2_tiny spec_convnextv2_tiny_series
    spec_convnextv2_tiny_wl spec_efficientnet_b0 spec_efficientnet_b0_series
    spec_efficientnet_b0_wl spec_efficientnet_b2 spec_efficientnet_b2_series
    spec_efficientnet_b2_wl spec_mobilenetv3_large_100
    spec_mobilenetv3_large_100_series spec_mobilenetv3_large_100_wl spec_pvt_v2_b2
    spec_pvt_v2_b2_series spec_pvt_v2_b2_wl spec_regnety_016 spec_regnety_016_series
    spec_regnety_016_wl spec_resnet101 spec_resnet101_series spec_resnet101_wl
    spec_resnet18 spec_resnet18_series spec_resnet18_wl spec_resnet34
    spec_resnet34_series spec_resnet34_wl spec_resnet50 spec_resnet50_series
    spec_resnet50_wl spec_swin_small_patch4_window7_224
    spec_swin_small_patch4_window7_224_series spec_swin_small_patch4_window7_224_wl
    spec_swin_tiny_patch4_window7_224 spec_swin_tiny_patch4_window7_224_series
    spec_swin_tiny_patch4_window7_224_wl spec_vit_base spec_vit_base_series
    spec_vit_base_wl spec_vit_giant spec_vit_giant_series spec_vit_giant_wl
    spec_vit_huge spec_vit_huge_series spec_vit_huge_wl spec_vit_large
    spec_vit_large_series spec_vit_large_wl spec_vit_small spec_vit_small_series
    spec_vit_small_wl spec_vit_tiny spec_vit_tiny_series spec_vit_tiny_wl
denoiser
    bm4d fasthyde hsdt_l hsdt_m hsdt_pnp hsdt_s hyres lrtv man_l man_m man_s man_v1
    man_v1_b man_v1_m man_v1_s pretrained_subspace robust_subspace subspace svd
neural operator
    fourier_neural_operator spectral_operator
other
    classifier segmenter spectral_mlp
pansharpener
    awlp bdsd bdsd_pc brovey bt_h dhp_darn dip_hyperkite exp gs gsa hspenet
    hyper_dsnet hyperpnn hysure mf mtf_glp mtf_glp_cbd mtf_glp_fs mtf_glp_hpm
    mtf_glp_hpm_h mtf_glp_hpm_r pca_z_pnn pracs r_pnn rho_pnn sr_d tv
pixel classifier
    hybridsn lola_specvit lola_specvit_tiny random_forest spectral_cnn
    spectralformer svm window_classifier
superresolver
    band_window_superresolution bicubic deepshare essaformer
    pretrained_superresolution subspace_superresolution
""")

#: Datasets.
DATASETS = _read("""
datasets
    BenchmarkScene Botswana DESISCDL DESISL2A EMITL2A EO1CDL EnMAPL2A HSICube
    HSIHySpecNet11k Houston2013 Hyperview IndianPines KSC LabelRaster MatPairs
    PRISMAL2D PRISMAPansharpening PanPairs PaviaUniversity RegionCrops Salinas
    SimulatedEnMAP SpectralEarth SpectralEarthBDForet SpectralEarthBNETD
    SpectralEarthCDL SpectralEarthCORINE SpectralEarthDownstream
    SpectralEarthEuroCrops SpectralEarthNLCD SpectralEarthTreeMap StoredPatches
    TemporalPairs WHUHi WHUHiHanChuan WHUHiHongHu WHUHiLongKou
""")['datasets']
