# On from dyenet/small_motion.py: templates do not show all of their objects, as of objects that turn or come back, so
# that the rest has to be found by how it moves; objects compete, lest one takes in another. Not in the papers.
# Run: dyenet train dyenet/small_covered.py [--set data_root=DATA] [--set model.init_from=WEIGHTS]
_base_ = "small_motion.py"
model = dict(
    init_from="work_dirs/small_motion/final.safetensors",
    init_parts=None,
    recurrence=dict(found_starts=0.4, competition=True),
)
train_dataloader = dict(dataset=dict(datasets={{_base_.covered}}))
optim_wrapper = dict(optimizer=dict(lr=6e-4))
max_iters = 800
