# Both streams of VS-ReID in miniature, through the mean of their predictions.
# Run: dyenet train debug/vsreid_joint.py   (under a minute on two CPU cores; the loss falls below 0.8 of the first)
_base_ = "vsreid_rgb.py"
model = dict(streams="joint", guides=dict(source="previous_frame"))
