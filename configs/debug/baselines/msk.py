# MSK in miniature.
# Run: dyenet train debug/baselines/msk.py   (seconds on two CPU cores)
_base_ = ["../../_base_/models/msk_small.py", "../../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="MSKTraining",
    network=dict(
        type="MSK", norm="bn", blocks=(1, 1, 1, 1), planes=4, aspp_channels=8, aspp_dilations=(2, 1)
    ),
    init_from=None,
    guides=dict(source="previous_frame"),
)
