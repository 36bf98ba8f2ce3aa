# VS-ReID small, 5 of 6: Faster R-CNN on single frames; every object is of one class.
# Run: dyenet train vsreid/small_detector.py [--set data_root=DATA]   (after small_streams)
# Time and result: docs/results.md.
_base_ = "small_rgb.py"
model = dict(
    _delete_=True,
    type="DetectorTraining",
    network={{_base_.model.network}},
    init_from="work_dirs/small_streams/final.safetensors",
)
