# VS-ReID as in the paper, 1 of 6: the RGB stream on COCO and VOC, guided by the pictures' own worn masks (Sec. 3.4).
# Run: torchrun --nproc-per-node 8 -m dyenet train vsreid/r101_images.py --set data_root=DATA
# Then r101_rgb, r101_flow, r101_streams, r101_detector, r101_identification. The paper names no rates; these are
# MSK's (Perazzi et al. 2017). Time and result: not measured.
_base_ = ["../_base_/models/vsreid_r101.py", "../_base_/inference/vsreid.py", "../_base_/training.py"]
data_root = "data"
model = dict(
    _delete_=True,
    type="PropagationTraining",
    network={{_base_.model}},
    init_from=None,
    streams="rgb",
    start_flow=None,
    guides=dict(source="same_frame", tps=0.1, dilation=5, max_per_clip=2),
)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(
        type="ImageClips",
        roots=[f"{data_root}/coco", f"{data_root}/voc"],
        size=(480, 640),
        num_frames=1,
        length=1000000,
    ),
)
max_iters = 20000
optim_wrapper = dict(optimizer=dict(type="SGD", lr=1e-3, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type="PolyLR", by_epoch=False, begin=0, end=20000, power=0.9, eta_min=0)]
