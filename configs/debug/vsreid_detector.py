# VS-ReID's Faster R-CNN in miniature.
# Run: dyenet train debug/vsreid_detector.py   (under a minute on two CPU cores; the loss falls below 0.8 of the first)
_base_ = ["../_base_/models/vsreid_tiny.py", "../_base_/debug.py"]
model = dict(_delete_=True, type="DetectorTraining", network={{_base_.model}}, init_from=None)
train_dataloader = dict(dataset=dict(num_frames=1))
