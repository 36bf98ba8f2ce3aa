# The flow stream of VS-ReID in miniature, begun from the RGB stream.
# Run: dyenet train debug/vsreid_flow.py   (under a minute on two CPU cores; the loss falls below 0.8 of the first)
_base_ = "vsreid_rgb.py"
model = dict(streams="flow", start_flow="rgb_mean", guides=dict(source="previous_frame"))
