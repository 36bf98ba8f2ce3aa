# The first pass of Algorithm 3 alone: everything is propagated from the given masks, nothing is retrieved.
inference = dict(schedule="checkpointed", checkpointed=dict(algorithm="paper", max_rounds=0))
