_base_ = ["../_base_/models/r50.py"]
