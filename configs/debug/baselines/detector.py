# VS-ReID's Faster R-CNN in miniature.
# Run: dyenet train debug/baselines/detector.py   (seconds on two CPU cores)
_base_ = ["../../_base_/models/vsreid_tiny.py", "../../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="DetectorTraining",
    network={{_base_.model}},
    init_from=None,
    min_area=32.0,
)
