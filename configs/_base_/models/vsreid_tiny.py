# For tests: every part of VS-ReID, as narrow as it gets, with its ResNets.
model = dict(
    type="VSReID",
    propagation=dict(
        type="MaskPropagationNetwork",
        patch_size=65,
        norm="bn",
        blocks=(1, 1, 1, 1),
        planes=4,
        aspp_channels=8,
        aspp_dilations=(2, 1),
    ),
    detector=dict(
        type="FasterRCNN",
        backbone=dict(type="SmallTrunk", norm="bn", dilations=(1,)),
        sizes=(16, 32),
        representation=16,
        short_side=64,
        long_side=128,
        rois_per_image=32,
    ),
    identification=dict(
        type="IdentificationNet",
        blocks=(1, 1, 2, 1),
        planes=4,
        split=1,
        embedding_dim=16,
        norm="bn",
        short_side=64,
        long_side=128,
    ),
    person_identification=None,
)
