"""What a good Keras user writes: uint8 in memory, cached and prefetched, Keras layers for augmentation.

Each function runs in a process of its own, so that nothing of ours is in it.
"""

import time
from typing import Any

import numpy as np


def model(backbone: Any, preprocess: Any, classes: int, unfrozen: int = 0) -> Any:
    """Return a compiled float32 model around a backbone whose last layers may be trained."""
    import keras
    from keras import layers

    backbone.trainable = bool(unfrozen)
    for layer in backbone.layers[:-unfrozen] if unfrozen else backbone.layers:
        layer.trainable = False
    pixels = keras.Input((64, 64, 3))
    x = layers.RandomFlip("horizontal")(pixels)
    x = layers.RandomRotation(10 / 360)(x)
    x = layers.RandomZoom(0.1)(x)
    x = layers.RandomTranslation(0.1, 0.1)(x)
    x = layers.Resizing(224, 224)(x)
    x = backbone(preprocess(x), training=False)
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    x = layers.Dense(256, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4))(x)
    found = keras.Model(pixels, layers.Dense(classes, activation="softmax")(x))
    found.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return found


def batches(images: np.ndarray, labels: np.ndarray, *, shuffle: bool) -> Any:
    """Return a pipeline that is cached, shuffled and prefetched."""
    import tensorflow as tf

    found = tf.data.Dataset.from_tensor_slices((images, labels)).cache()
    found = found.shuffle(len(images)) if shuffle else found
    return found.batch(32).prefetch(tf.data.AUTOTUNE)


def resnet50_passes(unfrozen: int, images: int) -> tuple[float, float]:
    """Seconds an image of a training pass and of a validation pass, after one that compiles."""
    import keras

    keras.utils.set_random_seed(0)
    backbone = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(224, 224, 3))
    found = model(backbone, keras.applications.resnet50.preprocess_input, 200, unfrozen)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (images, 64, 64, 3), np.uint8)
    labels = generator.integers(0, 200, images)
    train, held = batches(pixels, labels, shuffle=True), batches(pixels, labels, shuffle=False)
    found.fit(train.take(1), verbose=0)
    found.evaluate(held.take(1), verbose=0)
    began = time.perf_counter()
    found.fit(train, verbose=0)
    trained = time.perf_counter()
    found.evaluate(held, verbose=0)
    return (trained - began) / images, (time.perf_counter() - trained) / images


def lite0_whole(
    path: str, train: tuple[np.ndarray, np.ndarray], held: tuple[np.ndarray, np.ndarray], epochs: int
) -> tuple[float, float]:
    """Seconds of a whole transfer phase with EfficientNet-Lite0, and the validation accuracy at its end."""
    import keras

    keras.utils.set_random_seed(0)
    began = time.perf_counter()
    backbone = keras.saving.load_model(path, compile=False)
    found = model(backbone, lambda pixels: pixels, int(train[1].max()) + 1)
    history = found.fit(
        batches(*train, shuffle=True), validation_data=batches(*held, shuffle=False), epochs=epochs, verbose=0
    )
    return time.perf_counter() - began, float(history.history["val_accuracy"][-1])
