# VS-ReID as in the paper, 6 of 6: the Identification Net with the OIM loss, SGD as in person_search's code,
# on the objects of ImageNet VID and DAVIS.
# Run: torchrun --nproc-per-node 8 -m dyenet train vsreid/r101_identification.py --set data_root=DATA
# Time and result: not measured.
_base_ = "r101_rgb.py"
model = dict(
    _delete_=True,
    type="IdentificationTraining",
    network={{_base_.model.network}},
    init_from="work_dirs/r101_detector/final.safetensors",
    num_identities="auto",
    people=False,
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="MixedClips",
        weights=[0.8, 0.2],
        common=dict(size=(480, 856), num_frames=2, length=1000000),
        datasets=[
            dict(type="BoxClips", root=f"{_base_.data_root}/imagenet_vid"),
            dict(type="VideoClips", root=f"{_base_.data_root}/davis2017", split="train"),
        ],
        length=1000000,
    ),
)
max_iters = 50000
param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[40000], gamma=0.1)]
