# An MSK that two CPU cores can train: the trunk of `small` with the mask as one more channel.
model = dict(
    type="MSK",
    trunk=dict(type="SmallTrunk", norm="frozen_bn", dilations=(1, 2, 4, 2, 4)),
    norm="gn",
    aspp_channels=96,
    aspp_dilations=(3, 6, 9, 12, 1),
)
