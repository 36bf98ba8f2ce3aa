# On the foreign trunk in one stage: the heads of `small`, which know motion and covered templates, learn to read it.
# The clips come round four times, never from the same start; the trunk's maps of them (46 MB a clip) are computed once.
# Run: python scripts/transfer_heads.py dyenet/weights/small.safetensors dyenet/r101v2_covered.py
#          work_dirs/r101v2_start.safetensors --dataset davis2016 --root DAVIS --split train
#      torchrun --nproc-per-node 2 -m dyenet train dyenet/r101v2_covered.py [--set data_root=DATA]
#          [--set model.network.trunk.weights=FILE]
_base_ = "r101v2_joint.py"
model = dict(
    rois=dict(jitter=0.35),
    recurrence=dict(rollout=3, found_starts=0.35, template_frame=True, competition=True),
)
train_dataloader = dict(
    dataset=dict(
        length=240,
        weights=[0.65, 0.35],
        common=dict(num_frames=9),
        datasets={{_base_.covered}},
    )
)
max_iters = 500
optim_wrapper = dict(optimizer=dict(lr=6e-4))
