# Segmentation pre-training of r101's trunk on PASCAL VOC 2012: the schedule of DeepLab-v2 in
# lxx1991/pytorch-deeplab-resnet: batch 16 (2 on each of 8 processes), poly 0.9, 20k iterations, crops of 321, batch
# norms frozen.
# Run: torchrun --nproc-per-node 8 -m dyenet train dyenet/r101_segmentation.py --set data_root=DATA \
#          --set model.init_from=WEIGHTS     (ImageNet or COCO weights: scripts/convert_weights.py)
# Time and result: not measured.
_base_ = ["../_base_/models/r101.py", "../_base_/inference/paper.py", "../_base_/training.py"]
data_root = "data"
model = dict(
    _delete_=True,
    type="SegmentationTraining",
    network={{_base_.model}},
    init_from=None,
    num_classes=21,
)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(
        type="SegmentationImages",
        root=f"{data_root}/VOC2012",
        split="train_aug",
        size=(321, 321),
        length=1000000,
    ),
)
max_iters = 20000
optim_wrapper = dict(optimizer=dict(type="SGD", lr=2.5e-4, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type="PolyLR", by_epoch=False, power=0.9, eta_min=0.0, begin=0, end=max_iters)]
