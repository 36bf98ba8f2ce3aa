# MSK as the papers' baseline: ResNet-101, DAVIS, guided by the worn mask of the frame before; no online training.
# Run: torchrun --nproc-per-node 8 -m dyenet train msk/msk_r101.py --set data_root=DATA
# Expected with the papers' training: G 65.3 on DAVIS 2017 val (DyeNet Table 1). Time: not measured.
_base_ = ["../_base_/models/msk_r101.py", "../_base_/inference/propagation_only.py", "../_base_/training.py"]
data_root = "data"
model = dict(
    _delete_=True,
    type="MSKTraining",
    network={{_base_.model}},
    init_from=None,
    guides=dict(source="previous_frame", tps=0.1, dilation=5, max_per_clip=2),
)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(
        type="VideoClips",
        root=f"{data_root}/davis2017",
        split="train",
        size=(480, 856),
        num_frames=2,
        length=1000000,
    ),
)
max_iters = 20000
optim_wrapper = dict(optimizer=dict(type="SGD", lr=1e-3, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type="PolyLR", by_epoch=False, begin=0, end=20000, power=0.9, eta_min=0)]
