# What `small` is trained on: DAVIS 2016 train, composites of it and of photos with masks, deformed photos, synthetic
# video.
# Set data_root to where the data lies (docs/data.md says what must be below it).
data_root = "../shared/data"
photos = [f"{data_root}/static/ccp", f"{data_root}/static/horses", f"{data_root}/static/coco128"]
davis = dict(root=f"{data_root}/davis2016", split="train")
many_objects = dict(  # in place of the mix: what the Re-ID networks are trained on
    _delete_=True,
    type="CompositeClips",
    videos=[davis],
    images=photos,
    backgrounds=[f"{data_root}/static/imagenette"],
    size=(224, 352),
    num_frames=2,
    max_step=30,
    max_objects=3,
    length=1000000,
)
videos = dict(type="VideoClips", **davis, max_step=2)
composites = dict(
    type="CompositeClips",
    videos=[davis],
    images=photos,
    backgrounds=[f"{data_root}/static/imagenette"],
    max_objects=3,
    max_step=2,
)
distant = [  # in place of all of it: clips whose first frame gives the templates alone
    dict(distant_first=0.8, **videos),
    dict(distant_first=0.8, **composites),
]
covered = [dict(covered_first=0.5, **block) for block in distant]  # in place of these: templates lack a part
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(
        type="MixedClips",
        length=1000000,
        common=dict(size=(224, 352), num_frames=8, length=1000000),
        weights=[0.4, 0.35, 0.1, 0.15],
        datasets=[
            videos,
            composites,
            dict(type="ImageClips", roots=photos),
            dict(type="SyntheticClips", photos=f"{data_root}/static/imagenette"),
        ],
    ),
)
