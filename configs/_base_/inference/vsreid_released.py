# VS-ReID's schedule as the released code runs it (readings V4 to V10).
_base_ = "vsreid.py"
inference = dict(
    checkpointed=dict(algorithm="released"),
    vsreid=dict(warp="fb_average", recovery_flow="previous", guide_enlargement=0.15),
)
