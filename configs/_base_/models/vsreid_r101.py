# VS-ReID as in the paper: two ResNet-101 streams on patches of 449 x 449, Faster R-CNN, Identification Net.
model = dict(
    type="VSReID",
    propagation=dict(
        type="MaskPropagationNetwork",
        patch_size=449,
        flow_stream=True,
        fusion="softmax_average",
        blocks=(3, 4, 23, 3),
        planes=64,
        stem="deep",
        norm="frozen_bn",
        aspp_channels=512,
        aspp_dilations=(6, 12, 18, 24, 1),
    ),
    detector=dict(type="FasterRCNN", backbone="resnet50_fpn", num_classes=2),
    identification=dict(type="IdentificationNet"),
    person_identification=None,
)
