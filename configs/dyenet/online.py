# Online fine-tuning of any weights on first frames alone: the network comes out of the weights file.
# Run: dyenet finetune dyenet/online.py --set model.init_from=WEIGHTS --set train_dataloader.dataset.root=DAVIS
#      (--scope video tunes one network per sequence), or dyenet segment ... --online for one video.
# 1 to 5 minutes a video on a CPU; what it brings, and costs, is in docs/results.md. The paper gains 1.5 points of J on
# DAVIS 2016.
# What finds and compares objects is kept: one frame does not show what sets them apart. So is the motion cue: a
# deformed picture moves as one. And so that what the rest knows of motion is not unlearned, the network goes back most
# of the way in the end.
_base_ = "../_base_/training.py"
model = dict(
    type="JointTraining",
    network=None,  # that of init_from
    init_from=None,
    freeze=["reid_head", "pixel_matching", "motion"],
    num_identities="auto",
    loss_weight=2.0,
    reid_weight=0.3,
    rpn_weight=1.0,
    rois=dict(proposals=False, max_per_image=4),
    recurrence=dict(rollout=3, deform_start=False, soft_targets=True, dice_weight=0.5),
)
train_dataloader = dict(
    batch_size=1,
    num_workers=0,
    dataset=dict(
        type="FirstFrameClips",
        root="data/davis2016",
        split="val",
        size=(224, 352),
        num_frames=7,
        length=1000000,
        augmentation=dict(scale=(0.6, 1.0), colour=0.2, grey=0.0, blur=0.0),
    ),
)
max_iters = 2000  # per data set (reading D25)
video_iters = 100  # per video
optim_wrapper = dict(optimizer=dict(type="AdamW", lr=1e-4, weight_decay=1e-2), clip_grad=dict(max_norm=3.0))
custom_hooks = [dict(type="WeightEnsembleHook", share=0.25)]  # chosen on devval
