"""A residual network for 32x32 pictures, in Keras 3."""

from __future__ import annotations

import keras
from keras import layers

IMAGE_SHAPE = (32, 32, 3)  # height, width, RGB
CLASS_COUNT = 10

# Mean and variance of the 50,000 training pictures' red, green and blue values, which go from 0 to 255.
_PIXEL_MEAN = (125.3, 123.0, 113.9)
_PIXEL_VARIANCE = (63.0**2, 62.1**2, 66.7**2)
_BATCH_NORM_MOMENTUM = 0.9  # the default 0.99 has not settled after 100 steps


def build_resnet(depth: int, width: int) -> keras.Model:
    """Build a CIFAR ResNet (He et al., 2015) of 6n+2 layers in three stages.

    It maps pictures [batch, 32, 32, 3], RGB from 0 to 255, to logits [batch, 10]. The first convolution has
    stride 2, so that all of it works on 16x16 and less: a quarter of the paper's work at the same width, which
    on a CPU buys more accuracy as width than as resolution.
    """
    image = keras.Input(IMAGE_SHAPE, name="image")
    features = layers.Normalization(mean=_PIXEL_MEAN, variance=_PIXEL_VARIANCE)(image)
    features = _activate(_normalize(_convolve(features, width, strides=2)))
    for stage in range(3):
        for block in range((depth - 2) // 6):
            halve = stage > 0 and block == 0
            features = _residual_block(features, width << stage, strides=2 if halve else 1)
    features = layers.GlobalAveragePooling2D()(features)
    return keras.Model(image, layers.Dense(CLASS_COUNT, name="logits")(features), name=f"resnet{depth}")


def _residual_block(features: keras.KerasTensor, channels: int, strides: int) -> keras.KerasTensor:
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""
    branch = _activate(_normalize(_convolve(features, channels, strides=strides)))
    # Starting at zero, the block is the identity at first: the network trains as if it were shallow.
    branch = _normalize(_convolve(branch, channels), scale="zeros")
    if strides != 1 or features.shape[-1] != channels:
        features = _normalize(_convolve(features, channels, size=1, strides=strides))
    return _activate(layers.Add()([features, branch]))


def _convolve(features: keras.KerasTensor, channels: int, size: int = 3, strides: int = 1) -> keras.KerasTensor:
    convolution = layers.Conv2D(channels, size, strides, padding="same", use_bias=False, kernel_initializer="he_normal")
    return convolution(features)


def _normalize(features: keras.KerasTensor, scale: str = "ones") -> keras.KerasTensor:
    return layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM, gamma_initializer=scale)(features)


def _activate(features: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU()(features)
