# The trunk of `small` learns the features of a ResNet-101 v2 trained on ImageNet. Not in the papers, which start from
# ImageNet weights of their own trunk.
# Run: dyenet train dyenet/small_distill.py [--set data_root=DATA]
# Your teacher: --set model.teacher.file=... model.teacher.weights=...; any module serves (docs/training.md).
# The 4,000 crops come round six times; the teacher's maps of them (some 9 GB) are computed once.
_base_ = [
    "../_base_/models/small_bn.py",
    "../_base_/inference/laptop.py",
    "../_base_/training.py",
]
data_root = "../shared/data"
model = dict(
    _delete_=True,
    type="TrunkDistillation",
    network={{_base_.model}},
    init_from=None,
    cache="work_dirs/teacher_maps",
    teacher=dict(
        type="ExternalTrunk",
        file="../shared/trunks/resnet_v2.py",
        class_name="ResNetV2Trunk",
        weights="../shared/weights/resnet101v2_conv1_to_conv4.safetensors",
        fine_module="units.1",
        fine_channels=256,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
    ),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(
        type="MixedClips",
        length=4000,
        weights=[0.45, 0.15, 0.15, 0.05, 0.2],
        datasets=[
            dict(
                type="PlainImages",
                roots=[f"{data_root}/static/imagenette"],
                size=(192, 192),
                length=1000000,
            ),
            dict(
                type="PlainImages",
                roots=[f"{data_root}/static/coco128", f"{data_root}/static/voc2007"],
                size=(192, 192),
                length=1000000,
            ),
            dict(type="PlainImages", roots=[f"{data_root}/static/ccp"], size=(192, 192), length=1000000),
            dict(type="PlainImages", roots=[f"{data_root}/static/horses"], size=(192, 192), length=1000000),
            dict(
                type="VideoClips",
                root=f"{data_root}/davis2016",
                split="train",
                size=(192, 192),
                num_frames=1,
                length=1000000,
            ),
        ],
    ),
)
max_iters = 3000
optim_wrapper = dict(optimizer=dict(type="AdamW", lr=2e-3, weight_decay=2e-2), clip_grad=dict(max_norm=3.0))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, eta_min_ratio=0.02),
]
