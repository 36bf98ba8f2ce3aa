# VS-ReID as in the paper, 6 of 6: the Identification Net with the OIM loss, SGD as in the person-search code (facts,
# section 3), here on the objects of DAVIS (the paper: ImageNet).
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
max_iters = 50000
param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[40000], gamma=0.1)]
