# The default on a laptop: a slim trunk, slim conv5-like heads, the finer output, pixel matching with templates, and
# refinement of masks by the frame itself; both hear what moves as the object does.
model = dict(
    type="DyeNet",
    trunk=dict(type="SmallTrunk", norm="frozen_bn", dilations=(1, 2, 4, 2, 4)),
    rpn=dict(type="ProposalNetwork", channels=128, pre_nms=1000),
    reid_head=dict(
        type="ReIDHead",
        width=128,
        hidden_channels=256,
        output_channels=128,
        dilations=(1, 2, 1),
        norm="gn",
        pooled_norm=True,
    ),
    propagation_head=dict(
        type="PropagationHead",
        width=128,
        hidden_channels=256,
        output_channels=128,
        dilations=(1, 2, 1),
        norm="gn",
        attention="residual",
        mask_entry="channel",
        mask_gain=16.0,
        fine_scale=2,
        fine_output_channels=32,
    ),
    pixel_matching=dict(type="PixelMatching"),
    refinement=dict(type="MaskRefinement"),
    motion=dict(type="MotionCue"),
    patch_size=28,
)
