"""The recipe of system A: ImageNet backbones on Tiny ImageNet, by transfer learning and then fine-tuning."""

from __future__ import annotations

from tinybench.config.run_config import RunConfig
from tinybench.config.sections import AugmentConfig, DataConfig, FinetuneConfig, HeadConfig, TransferConfig
from tinybench.recipes.recipe import Expected, Recipe


def config() -> RunConfig:
    """Train an ImageNet backbone on Tiny ImageNet: 15 epochs of transfer learning, 5 of fine-tuning.

    Source: a published comparison of VGG16, ResNet50 and EfficientNetB0 on an A100.
    Command: mlflow run . -P model=resnet50 (or vgg16, efficientnetb0).
    Time: --dry-run estimates it on your machine. Features of the frozen part are stored, so that the source's
    augmentation is used only with transfer.views and finetune.views (live does what the source does).
    Expect: test accuracy .575 / .697 / .584 after transfer and .635 / .755 / .628 after fine-tuning.

    Left open by the source and chosen here: the size of the zoom and the translation (10 %), which layers
    are unfrozen (the last fifth), and the patience of its callbacks. Its head follows from its parameter
    counts. Its labels are one-hot; integer labels give the same loss.
    """
    return RunConfig(
        model="resnet50",
        dataset="tiny-imagenet",
        weights="imagenet",
        image_size=224,
        batch_size=32,
        data=DataConfig(validation=0.1),
        head=HeadConfig(pooling="avg", dropout=0.3, hidden=256, l2=1e-4),
        augment=AugmentConfig(flip=True, rotation=10, zoom=0.1, translation=0.1),
        transfer=TransferConfig(epochs=15, lr=1e-4),
        finetune=FinetuneConfig(epochs=5, lr=1e-4, unfreeze=0.2),
    )


_SPLITS = {"val/loss": "validation", "val/accuracy": "validation", "val/top5": "validation"}
_METRICS = ("val/loss", "val/accuracy", "val/top5", "test/accuracy", "test/f1_macro", "test/auc_ovr_macro")
_PUBLISHED = {
    ("vgg16", "transfer"): (1.72, 0.57, 0.81, 0.575, 0.573, 0.983),
    ("resnet50", "transfer"): (1.21, 0.69, 0.89, 0.697, 0.697, 0.993),
    ("efficientnetb0", "transfer"): (1.21, 0.71, 0.89, 0.584, 0.592, 0.984),
    ("vgg16", "finetune"): (1.47, 0.63, 0.85, 0.635, 0.633, 0.988),
    ("resnet50", "finetune"): (1.01, 0.75, 0.92, 0.755, 0.754, 0.995),
    ("efficientnetb0", "finetune"): (1.03, 0.75, 0.91, 0.628, 0.633, 0.988),
}

RECIPES = (
    Recipe(
        "tiny-imagenet-tlft",
        config,
        tuple(
            Expected(metric, value, _SPLITS.get(metric, "test"), "system A", model, phase)
            for (model, phase), values in _PUBLISHED.items()
            for metric, value in zip(_METRICS, values, strict=True)
        ),
        system="A",
        architecture="resnet50, vgg16 or efficientnetb0; 15 + 5 epochs",
        cost="hours on a CPU",
    ),
)
