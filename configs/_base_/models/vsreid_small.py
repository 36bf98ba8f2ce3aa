# A VS-ReID that two CPU cores can train: each of its networks on a trunk of its own (vsreid/small_trunk.py),
# the streams on patches of 225 x 225.
trunk = dict(
    type="SmallTrunk",
    norm="frozen_bn",
    depths=(2, 3),
    width=160,
    dilations=(1, 2, 4, 1, 2, 4, 1, 2, 4, 2),
)
model = dict(
    type="VSReID",
    propagation=dict(
        type="MaskPropagationNetwork",
        patch_size=225,
        flow_stream=True,
        fusion="softmax_average",
        trunk=trunk,
        norm="gn",
        aspp_channels=96,
        aspp_dilations=(3, 6, 9, 12, 1),
    ),
    detector=dict(
        type="FasterRCNN",
        backbone=trunk,
        num_classes=2,
        sizes=(16, 32, 64, 128, 256),
        representation=128,
        short_side=224,
        long_side=400,
    ),
    identification=dict(
        type="IdentificationNet",
        trunk=trunk,
        blocks=(1, 1, 1, 1),
        planes=16,
        embedding_dim=128,
        norm="gn",
        pooled_norm=True,
        short_side=300,
        long_side=540,
    ),
    person_identification=None,
)
