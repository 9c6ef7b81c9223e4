"""What is known of the models before one is built: `tinybench models` lists it. Standard library only.

`tests/models/test_model_cards.py` checks the cards against the real models of Keras.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelCard:
    """A summary of a model.

    Attributes:
        name: The name by which it is trained.
        parameters: Number of parameters without a classifier.
        size: Height and width in pixels of the images that it was made for.
        top1: Accuracy on ImageNet as Keras's own table has it; None where there is none.
        weights_file: Name of the file of its ImageNet weights, with * where it depends on the size of the images; empty
            where there are none.
    """

    name: str
    parameters: int
    size: int
    top1: float | None = None
    weights_file: str = ""

    def weights_state(self) -> str:
        """Return whether the ImageNet weights are here: `downloaded`, `to download`, or `none` where there are none."""
        if not self.weights_file:
            return "none"
        return "downloaded" if any((keras_folder() / "models").glob(self.weights_file)) else "to download"


def keras_folder() -> Path:
    """Return the folder in which Keras stores what it downloads."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


MODEL_CARDS = (
    ModelCard("smallcnn", 65_568, 16),
    ModelCard("shallow", 224, 28),
    ModelCard("simple5", 19_392, 32),
    ModelCard("vgg10", 336_064, 32),
    ModelCard("resnet20", 273_792, 32),
    ModelCard("alexnet-mini", 314_624, 64),
    ModelCard("cnn3", 94_144, 32),
    ModelCard("conv6", 288_800, 32),
    ModelCard("deep", 4_693_056, 32),
    ModelCard("vgg16", 14_714_688, 224, 0.713, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("resnet50", 23_587_712, 224, 0.749, "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("efficientnetb0", 4_049_571, 224, 0.771, "efficientnetb0_notop.h5"),
    ModelCard("convnextbase", 87_566_464, 224, 0.853, "convnext_base_notop.h5"),
    ModelCard("efficientnetv2b0", 5_919_312, 224, 0.787, "efficientnetv2-b0_notop.h5"),
    ModelCard("convnextlarge", 196_230_336, 224, 0.863, "convnext_large_notop.h5"),
    ModelCard("convnextsmall", 49_454_688, 224, 0.823, "convnext_small_notop.h5"),
    ModelCard("convnexttiny", 27_820_128, 224, 0.813, "convnext_tiny_notop.h5"),
    ModelCard("convnextxlarge", 348_147_968, 224, 0.867, "convnext_xlarge_notop.h5"),
    ModelCard("densenet121", 7_037_504, 224, 0.750, "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("densenet169", 12_642_880, 224, 0.762, "densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("densenet201", 18_321_984, 224, 0.773, "densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("efficientnetb1", 6_575_239, 240, 0.791, "efficientnetb1_notop.h5"),
    ModelCard("efficientnetb2", 7_768_569, 260, 0.801, "efficientnetb2_notop.h5"),
    ModelCard("efficientnetb3", 10_783_535, 300, 0.816, "efficientnetb3_notop.h5"),
    ModelCard("efficientnetb4", 17_673_823, 380, 0.829, "efficientnetb4_notop.h5"),
    ModelCard("efficientnetb5", 28_513_527, 456, 0.836, "efficientnetb5_notop.h5"),
    ModelCard("efficientnetb6", 40_960_143, 528, 0.840, "efficientnetb6_notop.h5"),
    ModelCard("efficientnetb7", 64_097_687, 600, 0.843, "efficientnetb7_notop.h5"),
    ModelCard("efficientnetv2b1", 6_931_124, 240, 0.798, "efficientnetv2-b1_notop.h5"),
    ModelCard("efficientnetv2b2", 8_769_374, 260, 0.805, "efficientnetv2-b2_notop.h5"),
    ModelCard("efficientnetv2b3", 12_930_622, 300, 0.820, "efficientnetv2-b3_notop.h5"),
    ModelCard("efficientnetv2l", 117_746_848, 480, 0.857, "efficientnetv2-l_notop.h5"),
    ModelCard("efficientnetv2m", 53_150_388, 480, 0.853, "efficientnetv2-m_notop.h5"),
    ModelCard("efficientnetv2s", 20_331_360, 384, 0.839, "efficientnetv2-s_notop.h5"),
    ModelCard(
        "inceptionresnetv2", 54_336_736, 299, 0.803, "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
    ),
    ModelCard("inceptionv3", 21_802_784, 299, 0.779, "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("mobilenet", 3_228_864, 224, 0.704, "mobilenet_1_0_*_tf_no_top.h5"),
    ModelCard("mobilenetv2", 2_257_984, 224, 0.713, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_*_no_top.h5"),
    ModelCard("mobilenetv3large", 2_996_352, 224, 0.756, "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5"),
    ModelCard("mobilenetv3small", 939_120, 224, 0.681, "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"),
    ModelCard("nasnetlarge", 84_916_818, 331, 0.825, "nasnet_large_no_top.h5"),
    ModelCard("nasnetmobile", 4_269_716, 224, 0.744, "nasnet_mobile_no_top.h5"),
    ModelCard("resnet101", 42_658_176, 224, 0.764, "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("resnet101v2", 42_626_560, 224, 0.772, "resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("resnet152", 58_370_944, 224, 0.766, "resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("resnet152v2", 58_331_648, 224, 0.780, "resnet152v2_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("resnet50v2", 23_564_800, 224, 0.760, "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("vgg19", 20_024_384, 224, 0.713, "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ModelCard("xception", 20_861_480, 299, 0.790, "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"),
)
"""The small networks, then Keras Applications, those that are tested here first."""
