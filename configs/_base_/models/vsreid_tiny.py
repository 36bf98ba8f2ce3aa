# For tests: every part of VS-ReID, as narrow as it gets.
_base_ = "vsreid_small_bn.py"
model = dict(
    propagation=dict(patch_size=65, blocks=(1, 1, 1, 1), planes=4, aspp_channels=8, aspp_dilations=(2, 1)),
    detector=dict(
        backbone=dict(dilations=(1,)),
        sizes=(16, 32),
        representation=16,
        short_side=64,
        long_side=128,
        rois_per_image=32,
    ),
    identification=dict(
        blocks=(1, 1, 2, 1), planes=4, split=1, embedding_dim=16, short_side=64, long_side=128
    ),
)
