# VS-ReID's two streams propagate the given masks; nothing is retrieved (its Table 1, "+ flow-stream").
# Run: dyenet experiment vsreid-table1 --dataset davis2017 --root DAVIS --split val --out DIR
#     --set vsreid_flow.weights=FILE
# Expected with the paper's training: 58.4 on DAVIS 2017 test-dev.
weights = "vsreid.safetensors"
requires = dict(type="VSReID", propagation=dict(flow_stream=True))
inference = dict(schedule="checkpointed", checkpointed=dict(algorithm="paper", max_rounds=0))
