# DyeNet as in the paper: ResNet-101 conv1..conv4_x at 1/8, three copies of conv5_x, m = 28.
model = dict(
    type="DyeNet",
    trunk=dict(type="ResNetTrunk", depth=101, norm="frozen_bn", dilate_first_block=False),
    rpn=dict(type="ProposalNetwork", channels=1024),
    reid_head=dict(
        type="ReIDHead", width=512, hidden_channels=2048, output_channels=256, dilations=(2, 2, 2)
    ),
    propagation_head=dict(
        type="PropagationHead",
        width=512,
        hidden_channels=2048,
        output_channels=256,
        dilations=(2, 2, 2),
        attention="area",
        mask_entry="gate",
        fine_scale=1,
    ),
    patch_size=28,
)
