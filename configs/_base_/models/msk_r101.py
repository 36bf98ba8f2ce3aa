# MSK as the papers' baseline: full image + previous mask, ResNet-101, the same head as a VS-ReID stream.
model = dict(
    type="MSK",
    blocks=(3, 4, 23, 3),
    planes=64,
    stem="deep",
    norm="frozen_bn",
    aspp_channels=512,
    aspp_dilations=(6, 12, 18, 24, 1),
)
