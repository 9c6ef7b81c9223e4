"""An interruption during training with TensorFlow ends it as an interruption, wherever it arrives."""

import os
import random
import signal
import threading

import keras
import numpy as np
import pytest

from tinybench.core import interruption


class EpochBegin(keras.callbacks.Callback):
    """Looks for lost interruptions, as every training does."""

    def on_epoch_begin(self, epoch, logs=None):
        interruption.raise_lost()


@pytest.mark.slow
def test_three_hundred_interruptions_come_out_as_such(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    interruption.handle_signals()
    images, labels = np.zeros((32, 8, 8, 3), np.float32), np.arange(32) % 10
    try:
        for number in range(300):
            layers = [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(), keras.layers.Flatten()]
            model = keras.Sequential([*layers, keras.layers.Dense(10)])
            model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            monkeypatch.setattr(interruption, "_received", [])
            seconds = random.Random(number).uniform(0.01, 0.8)
            timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
            timer.start()
            with pytest.raises(KeyboardInterrupt), interruption.restored():
                model.fit(images, labels, epochs=100_000, verbose=0, callbacks=[EpochBegin()])
            timer.join()
    finally:
        signal.signal(signal.SIGTERM, before)
