# Segmentation pre-training in miniature: the classes are the objects' numbers in synthetic scenes.
# Run: dyenet train debug/segmentation.py   (under a minute on two CPU cores; the loss falls below 0.8 of the first)
_base_ = ["../_base_/models/tiny.py", "../_base_/debug.py"]
model = dict(
    _delete_=True,
    type="SegmentationTraining",
    network={{_base_.model}},
    init_from=None,
    num_classes=5,
    channels=16,
)
train_dataloader = dict(dataset=dict(num_frames=1))
